/// How much one HTTP/2 connection may ask of this side (RFC 9113 section 10.5).
public struct HTTP2Limits: Sendable {
    /// Streams open at once: what one inference server runs for one caller, twice over.
    public var maximumStreams: UInt32 = 256
    /// Bytes of a header list with 32 for each field (section 6.5.2): a head of HTTP/1.1 of 16 KiB
    /// with a hundred fields.
    public var maximumHeaderList: UInt32 = 16 * 1024 + 100 * 32
    /// Bytes that a caller may send on one stream before they are used: a prompt of 40,000 tokens
    /// without a wait for a round trip.
    public var streamWindow: Int32 = 256 * 1024
    /// The same for the whole connection, so that 256 callers cannot make this side hold 64 MiB.
    public var connectionWindow: Int32 = 1 << 20
    /// Streams that may be reset, by either side, in one second and a burst: CVE-2023-44487. A
    /// caller that leaves closes some streams at once, and goes on.
    public var resetsPerSecond: UInt64 = 100
    public var resetBurst: UInt64 = 1_000
    /// Frames that carry no stream forward (SETTINGS, PING, PRIORITY, WINDOW_UPDATE) for each that
    /// does, either way, after the first thousand: CVE-2019-9512 and others of that year.
    public var idleFramesPerUsefulFrame = 16
    public var idleFrameBurst = 1_000
    /// Bytes of a header block with its CONTINUATION frames, as they travel: the largest list,
    /// uncompressed, four times over (CVE-2024-28182: CONTINUATION without end).
    public var maximumBlock = 64 * 1024

    /// The usual limits.
    public init() {}
}
