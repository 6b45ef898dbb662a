internal import Bytes
internal import Keys

/// Whether a provider that reads a request reads more than is in it: a picture by its address, a
/// file, an earlier answer, or a template that writes what it likes. Of such a prompt the body's
/// size says nothing.
package enum BodyReferences {
    private static let words: [StaticString] = [
        "image_url", "input_image", "input_file", "file_id", "file_url", "video_url", "audio_url",
        "previous_response_id", "conversation", "chat_template", "chat_template_kwargs",
    ]
    /// Of the longest, and the quotes around it.
    private static let longest = 24

    /// Looks for the words, as names or values, and for any name that is spelled with escapes.
    package static func areIn(_ body: [UInt8]) -> Bool {
        let bytes = body.span
        var index = 0
        while let start = bytes.first(UInt8(ascii: "\""), from: index) {
            var end = start + 1
            var isEscaped = false
            while end < bytes.count, bytes[end] != UInt8(ascii: "\"") {
                if bytes[end] == UInt8(ascii: "\\") {
                    isEscaped = true
                    end += 1
                }
                end += 1
            }
            guard end < bytes.count else { return false }
            // What is written with escapes may be any of them.
            if isEscaped
                ? isShort(start, end) && hasUnicodeEscape(bytes, start, end)
                : isWord(bytes, start + 1..<end)
            {
                return true
            }
            index = end + 1
        }
        return false
    }

    /// Six characters for each of a word's.
    private static func isShort(_ start: Int, _ end: Int) -> Bool {
        end - start <= longest * 6
    }

    private static func hasUnicodeEscape(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
        var index = start
        while index + 1 < end {
            if bytes[index] == UInt8(ascii: "\\") {
                // Of `_` and `a` to `z`: 005F, and 0061 to 007A.
                if bytes[index + 1] == UInt8(ascii: "u"), index + 4 < end,
                    bytes[index + 2] == UInt8(ascii: "0"), bytes[index + 3] == UInt8(ascii: "0"),
                    (UInt8(ascii: "5")...UInt8(ascii: "7")).contains(bytes[index + 4])
                {
                    return true
                }
                index += 1
            }
            index += 1
        }
        return false
    }

    private static func isWord(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard range.count <= longest else { return false }
        for word in words where bytes.equals(range, word) { return true }
        return false
    }
}
