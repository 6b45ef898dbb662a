/// The challenges of one connection that this side answers, one at a time: `seq` of protocol.md.
///
/// One count per connection and role, whichever way a challenge comes: the exchange, the
/// well-known endpoint, or an open connection. Only what was answered counts, so that the peer,
/// which saw the answers, knows the number as well.
public struct ChallengeCount: Sendable {
    /// The number of the next challenge.
    public private(set) var next: UInt32
    /// Whether one is being answered.
    public private(set) var isBusy = false

    /// Counts on behind those that the exchange has answered; one that asked for nothing has no
    /// number.
    public init(answered: UInt32) {
        next = answered
    }

    /// The number for a challenge that came; nil while another one is being answered.
    public mutating func begin() -> UInt32? {
        guard !isBusy else { return nil }
        isBusy = true
        return next
    }

    /// Ends what `begin` began. At a quote in 1 ms the count lasts for 49 days of one connection,
    /// and stays at its last number then, which only the nonces tell apart.
    public mutating func end(isAnswered: Bool) {
        isBusy = false
        if isAnswered, next < .max { next += 1 }
    }
}
