/// Whether a backend's pieces may be acknowledged late: found out by trying, since a sender that
/// waits for acknowledgements (Nagle's algorithm, RFC 9293 section 3.7.4: no TCP_NODELAY) would
/// hold each second token back until the kernel's timer fires.
///
/// Late is a tenth of a token's cost cheaper, and most inference servers never wait. While it is
/// tried, a gap shorter than that timer proves that the sender does not wait; a gap of its length
/// makes it suspect, and then every read is acknowledged at once, as the kernel does by itself.
struct Acknowledging {
    enum Manner: Equatable {
        /// Late, and gaps are looked at.
        case trying
        /// Late: the backend sends without waiting.
        case late(since: UInt64)
        /// At once: the backend seems to wait.
        case atOnce(since: UInt64)
    }

    /// What is remembered of one connection while it is tried.
    struct Trial {
        fileprivate var lastRead: UInt64?
        fileprivate var shortReads = 0

        /// Begins with the request that is sent now.
        init() {}
    }

    private(set) var manner = Manner.trying

    /// Linux's delayed acknowledgement comes after 40 ms (TCP_DELACK_MIN); what came clearly sooner
    /// did not wait for it, and what came within scheduling's reach behind it may have.
    private static let soon: UInt64 = 30
    private static let suspect: ClosedRange<UInt64> = 36...60
    /// Bytes of a read that was surely one small segment, of which alone Nagle's algorithm keeps
    /// the next waiting.
    private static let short = 4_096
    /// When it is tried again: a pace of exactly 25 tokens/s looks like waiting, and another
    /// program may come to listen at the address.
    private static let retrial: UInt64 = 60_000

    /// Whether reads are to be told.
    var isTrying: Bool { manner == .trying }

    /// Notes a read of an answer.
    mutating func note(_ trial: inout Trial, bytes: Int, now: UInt64) {
        let gap = trial.lastRead.map { now - $0 }
        trial.lastRead = now
        guard bytes < Acknowledging.short else {
            trial.shortReads = 0
            return
        }
        trial.shortReads += 1
        guard let gap else { return }
        // The end of a long piece is short too, and was not waited for: the third in a row counts.
        if gap < Acknowledging.soon, trial.shortReads > 2 {
            manner = .late(since: now)
        } else if Acknowledging.suspect.contains(gap) {
            manner = .atOnce(since: now)
        }
    }

    /// Whether a connection that is made now acknowledges late.
    mutating func begins(now: UInt64) -> Bool {
        switch manner {
        case .trying: return true
        case .late(let since):
            if now - since >= Acknowledging.retrial { manner = .trying }
            return true
        case .atOnce(let since):
            guard now - since >= Acknowledging.retrial else { return false }
            manner = .trying
            return true
        }
    }
}
