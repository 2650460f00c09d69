/// A line of `control/log`: `TIME pid=P uid=U file=F command="..." errno=E why="..."`.
struct LogLine {
    var time: String
    var pid: Int
    var uid: Int
    var file: String
    var command: String
    var errno: String
    var why: String

    init?(_ line: String) {
        let expression =
            #/(\S+) pid=(\d+) uid=(\d+) file=(\S+) command="(.*)" errno=([A-Z0-9]+) why="(.*)"/#
        guard let match = line.wholeMatch(of: expression), let pid = Int(match.2),
            let uid = Int(match.3)
        else { return nil }
        time = String(match.1)
        self.pid = pid
        self.uid = uid
        file = String(match.4)
        command = String(match.5)
        errno = String(match.6)
        why = String(match.7)
    }
}
