import Testing

@testable import DevFS

@Suite struct TogetherTests {
    @Test func `it is kept no longer than somebody comes for it`() {
        final class Token: Sendable {}
        let together = Together<Token>()
        weak let token = together.get { Token() }
        #expect(token == nil)
    }
}
