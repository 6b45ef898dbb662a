/// Why a ledger could not be read or written, in one line.
public struct LedgerError: Error, Equatable, CustomStringConvertible {
    /// What to do about it.
    public enum Code: String, Sendable {
        /// The database cannot be reached or written now, or nobody knows whether it wrote: do it
        /// again. What was written is found by its id.
        case unavailable = "ledger.unavailable"
        /// Too much waits to be written: refuse requests for a while.
        case busy = "ledger.busy"
        /// It was stopped.
        case closed = "ledger.closed"
        /// What was to be written cannot be.
        case invalid = "ledger.invalid"
        /// What was read is no ledger, or was changed.
        case damaged = "ledger.damaged"
        /// The ledger is not the one that was configured, or does not keep what it is given.
        case setting = "ledger.setting"
    }

    public let code: Code
    public let reason: String

    init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    public var description: String { "\(code.rawValue): \(reason)" }
}
