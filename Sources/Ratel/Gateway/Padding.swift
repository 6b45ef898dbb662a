internal import TLS

/// What is done against being read by the sizes and times of encrypted records (`protocol.md`,
/// Token side channel).
public enum Padding: String, Sendable, CaseIterable {
    /// Nothing.
    case off
    /// Each record is padded to blocks of 256 bytes.
    case records
    /// That, and the tokens of a streamed answer go out together, 20 times a second.
    case tick

    /// What holds of requests that may get any of `all`; of none, what holds by default.
    static func weakest(_ all: [Padding]) -> Padding {
        allCases.first(where: all.contains) ?? .records
    }

    /// What a connection does that carries requests of this kind, and is of TLS 1.3 alone.
    var records: RecordPadding { self == .off ? .off : .demanded }
}
