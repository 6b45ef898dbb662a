/// The paths that Ratel keeps for itself: all under `/.well-known/ratel/` (RFC 8615).
enum WellKnownPath {
    /// Where Evidence is asked for: protocol.md.
    static let attestation = "/.well-known/ratel/attestation"
    /// A provider's offers, and the facts that it signed, by receipt.
    static let offers = "/.well-known/ratel/offers"
    static let receipts = "/.well-known/ratel/receipts/"

    /// Whether a server behind might take `path` for one of them, however it is spelled.
    ///
    /// Whoever resolves a path undoes escapes, once or several times, and leaves segments and
    /// parts of them out: empty ones, dots and what they cancel, parameters, what follows a zero
    /// byte. Nothing of that puts segments in that were not there, or in another order. So each
    /// path with the two names in that order is kept, whatever stands around and between them.
    static func isReserved(_ path: String) -> Bool {
        // Nearly every path has neither, and costs no memory.
        guard path.utf8.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: ".") })
        else { return false }
        let segments = unescape(path).split { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }
        guard let first = segments.firstIndex(where: { isName($0, ".well-known") }) else {
            return false
        }
        return segments[first...].contains { isName($0, "ratel") }
    }

    /// The path in small letters, with its escapes undone until none is left.
    private static func unescape(_ path: String) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(path.utf8.count)
        for byte in path.utf8 {
            text.append(lower(byte))
            // What comes out of an escape may end another one.
            while text.count >= 3, text[text.count - 3] == UInt8(ascii: "%"),
                let high = digit(text[text.count - 2]), let low = digit(text[text.count - 1])
            {
                text.removeLast(3)
                text.append(lower(high << 4 | low))
            }
        }
        return text
    }

    /// Some servers cut parameters, and what follows a zero byte; on some file systems a name's
    /// last dots and blanks do not count.
    private static func isName(_ segment: ArraySlice<UInt8>, _ name: String) -> Bool {
        var bare = segment.prefix { byte in
            switch byte {
            case UInt8(ascii: ";"), UInt8(ascii: "?"), UInt8(ascii: "#"), 0: false
            default: true
            }
        }
        while let last = bare.last, last == UInt8(ascii: ".") || last == UInt8(ascii: " ") {
            bare.removeLast()
        }
        return bare.elementsEqual(name.utf8)
    }

    private static func lower(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 0x30
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - 0x57
        default: nil
        }
    }
}
