/// Keeps requests away from a provider that fails, and lets one at a time find out whether it
/// still does.
package struct CircuitBreaker: Sendable, Equatable {
    /// How a request ended, as far as the provider goes.
    package enum Outcome: Sendable, Equatable {
        case served
        /// No connection, no answer in time, a 5xx, or an answer that broke off.
        case failed
        /// A 4xx of the caller's own, or an answer that it gave up: nothing about the provider.
        case callers
        /// It said that it was full, early and in order: no failure either.
        case saturated
    }

    package enum State: Sendable, Equatable {
        case closed
        /// No request until then, in milliseconds.
        case open(until: Int64)
        /// One request is out, whose end is due by then.
        case probing(until: Int64)
    }

    /// Which request ended: those that began before others failed say nothing of what came after.
    package struct Ticket: Sendable, Equatable {
        fileprivate let number: Int64
    }

    package private(set) var state = State.closed
    private var failures = 0
    private var backOff = CircuitBreaker.firstBackOff
    /// How many requests began; of these the last that failed; and those that had begun when it
    /// opened, whose ends no longer matter.
    private var begun: Int64 = 0
    private var lastFailed: Int64 = 0
    private var settled: Int64 = 0

    /// Failures in a row: of a provider that serves nine requests in ten, one run of five in a
    /// hundred thousand is chance.
    static let maxFailures = 5
    /// Milliseconds: the first, and the longest, twice the last each time. A probe a minute costs
    /// nobody anything, and what came back is found within it.
    static let firstBackOff: Int64 = 1_000
    static let maxBackOff: Int64 = 60_000
    /// How long a probe whose end is never told holds the others up: longer than answers take.
    static let maxProbe: Int64 = 600_000

    /// Closed.
    package init() {}

    /// Whether a request may go there at `now`, in milliseconds.
    package func allows(now: Int64) -> Bool {
        switch state {
        case .closed: true
        case .open(let until), .probing(let until): now >= until
        }
    }

    /// A request goes there, which `allows` did allow.
    package mutating func begin(now: Int64) -> Ticket {
        begun += 1
        if state != .closed { state = .probing(until: now + CircuitBreaker.maxProbe) }
        return Ticket(number: begun)
    }

    /// A request that went there ended.
    package mutating func end(_ ticket: Ticket, _ outcome: Outcome, now: Int64) {
        guard ticket.number > settled else { return }
        switch outcome {
        case .served where ticket.number > lastFailed:
            (state, failures) = (.closed, 0)
            backOff = CircuitBreaker.firstBackOff
        case .served: break
        case .failed: fail(ticket, now)
        case .callers, .saturated:
            // The probe said nothing: the next request may be one.
            if case .probing = state { state = .open(until: now) }
        }
    }

    private mutating func fail(_ ticket: Ticket, _ now: Int64) {
        failures += 1
        lastFailed = max(lastFailed, ticket.number)
        switch state {
        case .closed where failures < CircuitBreaker.maxFailures: return
        case .closed, .open: backOff = CircuitBreaker.firstBackOff
        case .probing: backOff = min(backOff * 2, CircuitBreaker.maxBackOff)
        }
        state = .open(until: now + backOff)
        settled = begun
    }
}
