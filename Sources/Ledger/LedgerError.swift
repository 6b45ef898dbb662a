/// Why a ledger could not be read or written, in one line.
public struct LedgerError: Error, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
