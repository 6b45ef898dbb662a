/// Why a message was refused: a stable code, the status to answer with, and what differed.
///
/// `status` is the answer to a refused request (RFC 9110 section 15). For a refused response it is
/// 502. `got` names a byte and its place, or a field's name, never a field's value: values can be
/// credentials.
public struct HTTPRefusal: Error, Sendable, Equatable {
    /// Stable, dotted, for logs and metrics, such as `http.head.too_large`.
    public let code: String
    /// The status code to answer with.
    public var status: Int
    /// What the rule asks for.
    public let expected: String
    /// What the message had instead.
    public let got: String

    public init(code: String, status: Int, expected: String, got: String) {
        self.code = code
        self.status = status
        self.expected = expected
        self.got = got
    }
}

extension HTTPRefusal: CustomStringConvertible {
    public var description: String { "\(code): expected \(expected), got \(got)" }
}

extension HTTPRefusal {
    @usableFromInline @inline(never)
    static func bad(_ code: String, _ expected: String, _ got: String) -> HTTPRefusal {
        HTTPRefusal(code: code, status: 400, expected: expected, got: got)
    }

    @usableFromInline @inline(never)
    static func badByte(
        _ code: String,
        _ expected: String,
        _ byte: UInt8,
        at offset: Int
    ) -> HTTPRefusal {
        bad(code, expected, "byte \(hex(byte)) at offset \(offset)")
    }

    static func tooLarge(_ code: String, status: Int, limit: Int) -> HTTPRefusal {
        HTTPRefusal(code: code, status: status, expected: "at most \(limit)", got: "more")
    }

    /// A body with more content than the place it goes to takes (RFC 9110 section 15.5.14).
    public static func bodyTooLarge(_ limit: UInt64) -> HTTPRefusal {
        HTTPRefusal(
            code: "http.body.too_large", status: 413, expected: "at most \(limit) bytes",
            got: "more")
    }

    private static func hex(_ byte: UInt8) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return "0x"
            + String(
                decoding: [digits[Int(byte >> 4)], digits[Int(byte & 15)]],
                as: UTF8.self
            )
    }
}
