/// Why an HTTP/2 connection ends (RFC 9113 section 5.4.1).
public struct HTTP2Error: Error, Sendable, Equatable, CustomStringConvertible {
    /// Which limit or rule was broken, for logs.
    public let reason: String
    /// The code that GOAWAY tells, section 7.
    public let code: UInt32

    /// Names a reason with its code.
    public init(_ reason: String, code: UInt32) {
        self.reason = reason
        self.code = code
    }

    public var description: String { reason }

    /// Codes of section 7 that this side sends.
    public static let noError: UInt32 = 0
    public static let protocolError: UInt32 = 1
    public static let internalError: UInt32 = 2
    public static let refusedStream: UInt32 = 7
    public static let cancel: UInt32 = 8
    public static let enhanceYourCalm: UInt32 = 11
}
