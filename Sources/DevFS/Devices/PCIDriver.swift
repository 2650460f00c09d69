/// Who drives a device for DevFS.
package enum PCIDriver: String, Sendable, CaseIterable {
    /// The project's own module.
    case module = "devfs_dma"
    /// The kernel's.
    case vfio = "vfio-pci"

    /// The module to load.
    var module: String { rawValue }

    /// What a device of it is mounted by.
    package func source(of address: PCIAddress) -> String {
        switch self {
        case .module: DeviceBinder.node(address)
        case .vfio: Self.vfioPrefix + "\(address)"
        }
    }

    static let vfioPrefix = "vfio:"
}
