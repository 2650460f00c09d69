import Testing

@testable import DevFS

/// No output of any tool carries control characters of others' names, and nothing to paste is
/// unquoted.
@Suite struct PrintableTests {
    @Test(arguments: [
        ("plain, 'quoted' and grün 漢字", "plain, 'quoted' and grün 漢字"),
        ("a\u{1B}[31m", "a\\x1b[31m"), ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"), ("\u{7F}", "\\x7f"),
        ("\u{9B}2J", "\\u{009b}2J"), ("\u{202E}cod.exe", "\\u{202e}cod.exe"),
        ("\u{2066}x\u{2069}\u{200B}\u{FEFF}", "\\u{2066}x\\u{2069}\\u{200b}\\u{feff}"),
        ("\u{2028}\u{E0041}", "\\u{2028}\\u{e0041}"),
    ])
    func `what does not print, or moves what does, is escaped`(text: String, shown: String) {
        #expect(text.printable == shown)
    }

    @Test func `JSON keeps its value, and shows nothing raw`() {
        let text = String.printableJSON("{\n  \"a\" : \"\u{7F}\u{9B}\u{202E}\u{E0041}ü\"\n}")
        #expect(text == "{\n  \"a\" : \"\\u007f\\u009b\\u202e\\udb40\\udc41ü\"\n}")
    }

    @Test(arguments: [
        ("/mnt/dma", "/mnt/dma"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'"),
        ("$(reboot)", "'$(reboot)'"), ("~", "'~'"), ("a!b", "'a!b'"),
        ("\u{1B}'$(x)!\\", "$'\\033\\047$(x)\\041\\134'"), ("é\n", "$'é\\012'"),
        ("\u{202E}", "$'\\342\\200\\256'"),
    ])
    func `a word of the shell`(text: String, word: String) {
        #expect(text.shellQuoted == word)
    }

    @Test(arguments: ["bash", "dash"])
    func `a shell takes it for one word, and runs nothing`(shell: String) {
        for text in [
            "it's $(exit 9) `exit 9` \"; exit 9; \\", "a\n'; exit 9; '",
            "\u{1B}]0;$(exit 9)\u{7}'", "-rf *", "#", "!! \u{202E}",
        ] {
            let isPlain = text == text.printable
            // Only bash knows the form for what does not print; to others it is one word still.
            let compares = shell == "bash" || isPlain ? "[ \"$1\" = \"$text\" ]" : "true"
            let script = "text=$2; eval \"set -- $1\"; [ $# = 1 ] && \(compares)"
            let word = text.shellQuoted
            #expect(Spawn.run([shell, "-euc", script, shell, word, text]) == 0, "\(word)")
        }
    }
}
