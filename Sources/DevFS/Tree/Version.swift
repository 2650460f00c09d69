/// The version of this software.
public enum DevFSVersion {
    public static let text = "0.1.0"
}
