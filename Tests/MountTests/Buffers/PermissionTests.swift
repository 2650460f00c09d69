import Glibc
import Testing

extension MountTests {
    /// "They are kept with the buffer, over a restart. The set-id and sticky bits are dropped."
    /// "Permissions are checked by the kernel (`default_permissions`)."
    @Suite struct Permissions {
        private static let other = "setpriv --reuid 12345 --regid 12345 --clear-groups --"

        @Test(arguments: Mode.here)
        func `chmod, chown and utimens are kept, over a remount too`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.bash(
                    """
                    echo 'rx 4k' > control/alloc; chmod 7640 buffers/rx
                    touch -d '2001-02-03 04:05:06.789 UTC' buffers/rx
                    """)
                if Machine.isRoot { try mount.bash("chown 12345:54321 buffers/rx") }
                let before = try mount.bash("stat -c '%a %u %g %X %Y %y' buffers/rx")
                #expect(before.hasPrefix("640 "))
                #expect(before.contains(" 981173106 981173106 "))
                #expect(before.contains(".789"))
                if Machine.isRoot { #expect(before.hasPrefix("640 12345 54321 ")) }
                try #expect(mount.stop().status == 0)
                try mount.start()
                #expect(try mount.bash("stat -c '%a %u %g %X %Y %y' buffers/rx") == before)
            }
        }

        @Test(.enabled(if: Machine.isRoot, "allow_other needs root or user_allow_other"))
        func `umask= is taken from every mode, and uid= and gid= own all`() throws {
            try withMount(.best, "uid=12345,gid=54321,umask=027,allow_other") { mount in
                try mount.bash(
                    """
                    echo 'a 4k' > control/alloc; (umask 0; touch buffers/b; install -m 777 /dev/null buffers/c)
                    [ "$(stat -c %a buffers/a buffers/b | uniq)" = 640 ]
                    [ "$(stat -c %u:%g buffers/a buffers/b buffers . control control/log version \
                        attributes/a attributes/a/size | uniq)" = 12345:54321 ]
                    [ "$(stat -c %a . buffers control attributes signals streams | uniq)" = 750 ]
                    [ "$(stat -c %a version control/log attributes/a/heap | uniq)" = 440 ]
                    [ "$(stat -c %a control/alloc control/signal control/stream | uniq)" = 640 ]
                    [ "$(stat -c %a control/free control/sync | uniq)" = 200 ]
                    [ "$(stat -c %a attributes/a/dma_addr)" = 400 ]
                    """)
            }
        }

        @Test func `without options the modes are those of the manual, less 022`() throws {
            try withMount { mount in
                try mount.bash(
                    """
                    echo 'a 4k' > control/alloc
                    [ "$(stat -c %a . buffers control control/heaps attributes attributes/a | uniq)" = 755 ]
                    [ "$(stat -c %a version status features metrics control/log control/socket \
                        attributes/a/{heap,direction,nents,numa_node,dma_coherent,sync_owner,owner,refs} \
                        control/heaps/system/{type,size,used,max} | uniq)" = 444 ]
                    [ "$(stat -c %a control/{alloc,signal,stream} attributes/a/{size,name,lease} \
                        attributes/a/sync_{offset,size,direction} | uniq)" = 644 ]
                    [ "$(stat -c %a control/{free,sync} attributes/a/sync_for_{cpu,device} | uniq)" = 200 ]
                    [ "$(stat -c %a attributes/a/{dma_addr,phys_addr,sg_table} | uniq)" = 400 ]
                    [ "$(stat -c %a buffers/a)" = 644 ]
                    [ "$(stat -c %u:%g buffers/a)" = "$(id -u):$(id -g)" ]
                    """)
            }
        }

        @Test(
            .enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"), arguments: Mode.here
        )
        func `another user is kept out by the modes, and a buffer he makes is his`(
            mode: Mode
        ) throws {
            try withMount(mode, "umask=000,allow_other") { mount in
                try mount.bash(
                    """
                    echo 'rx 4k' > control/alloc; chmod 600 buffers/rx
                    no \(Self.other) cat buffers/rx; no \(Self.other) bash -c ': > buffers/rx'
                    no \(Self.other) chmod 666 buffers/rx; no \(Self.other) chown 12345 buffers/rx
                    chmod 644 buffers/rx
                    \(Self.other) cat buffers/rx > /dev/null
                    no \(Self.other) bash -c 'echo x > buffers/rx'
                    \(Self.other) bash -c "umask 000; echo 'own 4k' > control/alloc; touch buffers/made"
                    [ "$(stat -c '%u:%g:%a' buffers/own buffers/made | uniq)" = 12345:12345:666 ]
                    \(Self.other) chmod 600 buffers/own; \(Self.other) rm buffers/own
                    no \(Self.other) bash -c 'echo 8k > attributes/rx/size'
                    [ "$(stat -c %s buffers/rx)" = 4096 ]
                    [ "$(stat -c %u attributes/made/size)" = 12345 ]
                    [ "$(stat -c %u attributes/made/dma_addr)" = 0 ]
                    """)
            }
        }

        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `without allow_other no other user comes in`() throws {
            try withMount { mount in
                let words = Self.other.split(separator: " ").map(String.init)
                let output = try Child(words + ["ls", mount.root]).wait()
                #expect(output.status != 0 && output.error.contains("Permission denied"))
            }
        }
    }
}
