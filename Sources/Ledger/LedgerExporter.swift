internal import Loop

/// Writes each period that is over into a folder of its own, once.
///
/// On a thread of its own with a connection of its own: an hour of receipts takes a minute to read,
/// and nothing that is served waits for it.
public final class LedgerExporter: Sendable {
    /// What a try came to.
    public enum Event: Sendable, Equatable {
        /// The folder is there, with this many receipts.
        case wrote(folder: String, receipts: Int)
        /// It is tried again.
        case failed(LedgerError)
    }

    private let inbox = Inbox<Bool>()
    private let worker: Worker

    /// Milliseconds between two looks at the most: an hour is there within ten seconds of its end.
    private static let interval: Int64 = 10_000

    /// Starts writing into `folder`, which belongs to this router alone, from the ledger that
    /// `open` opens; `report` is called on its thread.
    public init(
        into folder: String, _ open: @escaping @Sendable () throws(LedgerError) -> Ledger,
        report: @escaping @Sendable (Event) -> Void
    ) {
        let inbox = inbox
        worker = Worker {
            // A period of some seconds is there before the next is over.
            var wait: Int64 = 0
            while inbox.take(atMost: 1, waiting: wait) != nil {
                do throws(LedgerError) {
                    let ledger = try open()
                    wait = min(LedgerExporter.interval, ledger.period / 2)
                    try LedgerExporter.write(
                        of: ledger, into: folder, now: System.now * 1_000, report: report)
                } catch {
                    wait = LedgerExporter.interval
                    report(.failed(error))
                }
            }
        }
    }

    /// Writes each period that is over at `now`, in milliseconds since 1970, and was not written.
    public static func write(
        of ledger: Ledger, into folder: String, now: Int64, report: (Event) -> Void
    ) throws(LedgerError) {
        while let event = try ExportFolder.writeNext(of: ledger, into: folder, now: now) {
            report(event)
        }
    }

    /// Ends once what is being written is there.
    public func stop() {
        inbox.close()
        worker.join()
    }
}
