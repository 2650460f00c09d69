import Testing

extension MountTests {
    /// "flock, fcntl ... Locks work, by the kernel."
    @Suite struct Locks {
        @Test(arguments: Mode.here)
        func `flock and fcntl locks keep another process out`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.alloc("rx 8k")
                try mount.bash(
                    """
                    exec 9< buffers/rx
                    flock -n 9
                    no flock -n buffers/rx true
                    flock -u 9
                    flock -n buffers/rx true
                    """)
                try mount.python(
                    """
                    fd = os.open("buffers/rx", os.O_RDWR)
                    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 100, 0)
                    child = os.fork()
                    if child == 0:
                        own = os.open("buffers/rx", os.O_RDWR)
                        try:
                            fcntl.lockf(own, fcntl.LOCK_EX | fcntl.LOCK_NB, 100, 200)
                            refused(errno.EAGAIN, fcntl.lockf, own, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 50)
                        except BaseException:
                            os._exit(1)
                        os._exit(0)
                    assert os.waitpid(child, 0)[1] == 0
                    """)
            }
        }
    }
}
