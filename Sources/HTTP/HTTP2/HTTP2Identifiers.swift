/// Which stream identifiers a client has passed over: RFC 9113 section 5.1.1 closes them, and to
/// use one later is an error of the connection.
struct HTTP2Identifiers {
    private var highest: Int32 = -1
    private var skipped: [ClosedRange<Int32>] = []

    /// Gaps that are remembered: clients count up by two, so that there are none.
    private static let most = 64

    /// Notes the begin of a stream, and says whether its identifier was passed over.
    mutating func isSkipped(_ stream: Int32) -> Bool {
        guard stream <= highest else {
            if stream > highest + 2, skipped.count < HTTP2Identifiers.most {
                skipped.append((highest + 1)...(stream - 1))
            }
            highest = stream
            return false
        }
        return skipped.contains { $0.contains(stream) }
    }
}
