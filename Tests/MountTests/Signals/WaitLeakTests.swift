import Glibc
import Testing

extension MountTests {
    /// A client that dies while it waits leaks nothing.
    @Suite struct WaitLeaks {
        @Test
        func `clients killed while they wait, poll or are to be notified leave nothing behind`()
            throws
        {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                try round(mount)
                let before = settled(mount)
                // The counter sees a leak: a registration holds a pidfd.
                let held = try mount.start("cat", "signals/go/wait")
                #expect(held.waitsOn("signals/go/wait"))
                try mount.put("\(held.pid) USR1\n", "signals/go/notify")
                #expect(descriptors(mount) > before)
                held.signal(SIGKILL)
                try held.wait()
                #expect(holds { descriptors(mount) <= before })

                for _ in 0..<5 { try round(mount) }
                #expect(holds { descriptors(mount) <= before })
                try mount.put("10", "signals/go/trigger")
                #expect(try mount.value("signals/go/count") == "10")
                #expect(try text(of: mount.path("signals/go/notify")) == "")
            }
        }

        /// The count once no registration of a client that ended is left: those go a moment later.
        private func settled(_ mount: Mount) -> Int {
            var last = -1
            var looks = 0
            let isSettled = holds {
                let now = descriptors(mount)
                looks = now == last ? looks + 1 : 0
                last = now
                // On a machine that is busy the server may stand still between two looks.
                return looks >= 20 && (try? text(of: mount.path("signals/go/notify"))) == ""
            }
            #expect(isSettled)
            return last
        }

        private func descriptors(_ mount: Mount) -> Int {
            names(in: "/proc/\(mount.server.pid)/fd").count
        }

        private func round(_ mount: Mount) throws {
            var clients = try (0..<4).map { _ in try mount.start("cat", "signals/go/wait") }
            clients.append(
                try mount.startPython(
                    """
                    put("signals/go/notify", f"{os.getpid()} RTMIN 1")
                    poll = select.poll()
                    poll.register(os.open("signals/go/wait", os.O_RDONLY), select.POLLIN)
                    print("ready", flush=True)
                    poll.poll()
                    """))
            for client in clients { #expect(client.waitsOn("signals/go/wait")) }
            #expect(holds { clients[4].textSoFar.contains("ready") })
            for client in clients { client.signal(SIGKILL) }
            for client in clients { try client.wait() }
        }
    }
}
