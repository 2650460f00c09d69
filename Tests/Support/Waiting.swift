import Glibc

/// Polls `condition` until it holds; false where it does not within `limit`.
package func holds(
    within limit: Duration = .seconds(10), _ condition: () throws -> Bool
) rethrows -> Bool {
    let deadline = ContinuousClock.now + limit
    var pause: useconds_t = 200
    while try !condition() {
        if ContinuousClock.now > deadline { return try condition() }
        usleep(pause)
        pause = min(pause * 2, 10_000)
    }
    return true
}
