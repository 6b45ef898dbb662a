internal import Bytes
internal import Keys
internal import Logging
internal import Loop
internal import RATS
internal import Receipts
internal import Synchronization

/// What a sidecar needs to be a provider: its offers, its signed facts, and when it is full.
final class Metering: Sendable {
    let book: ServiceBook
    private let path: String
    private let logger: Logger
    private let file: Locked<OffersFile>
    private let lastFailure = LastFailure()
    /// Requests that wait in the engine, when it last said.
    private let waiting = Atomic<Int>(0)
    /// Under way now, by model.
    private let open = Locked<[String: Int64]>([:])
    /// What callers' caches are parted by.
    private let saltKey = SecureRandom.bytes(32)

    /// Reads the file at `path`.
    init(path: String, logger: Logger) throws(ConfigurationError) {
        self.path = path
        self.logger = logger
        do {
            let file = try OffersFile.load(path)
            self.file = Locked(file)
            book = try ServiceBook(file.models, measurement: Digest.sha256(file.terms))
        } catch {
            throw ConfigurationError("--offers \(path): \(error)")
        }
    }

    /// How the engine is asked for its queue; nil where it is not.
    var queue: OffersFile.Queue? { file.withLock { $0.queue } }

    var cacheSalt: OffersFile.CacheSalt { file.withLock { $0.cacheSalt } }

    /// Reads the file again and renews offers; blocks for the disk.
    func check(isAsked: Bool) {
        do throws(Refusal) {
            let read = try OffersFile.load(path)
            lastFailure.clear()
            let isNew = file.withLock { file in
                defer { file = read }
                return file != read
            }
            if isNew {
                book.replace(read.models)
                logger.notice("offers replaced", metadata: ["models": "\(read.models.count)"])
            } else if isAsked {
                logger.notice("the offers are as they were")
            }
        } catch {
            if lastFailure.isToTell("\(error)", isAsked: isAsked) {
                logger.error(
                    "the offers were not replaced; the old ones stay",
                    metadata: ["file": "\(path)", "why": "\(error)"])
            }
        }
        book.renew()
    }

    // MARK: Load

    /// The engine says how many requests wait in it; nil where it does not answer.
    func note(waiting count: Int?) { waiting.store(count ?? 0, ordering: .relaxed) }

    /// Whether a queue has formed in the engine: a request that comes now would wait.
    var isFull: Bool {
        guard let queue else { return false }
        return waiting.load(ordering: .relaxed) > queue.most
    }

    /// Takes a place for a request, where its offer has one left.
    func take(_ standing: ServiceBook.Standing) -> Bool {
        open.withLock { open in
            let count = open[standing.offer.model.id, default: 0]
            guard count < standing.offer.streams else { return false }
            open[standing.offer.model.id] = count + 1
            return true
        }
    }

    func giveBack(_ standing: ServiceBook.Standing) {
        open.withLock { $0[standing.offer.model.id, default: 1] -= 1 }
    }

    /// What parts the cache of this caller from others': the same for as long as this process runs.
    func salt(of caller: String) -> String {
        Hex.encode(Digest.sha256.authenticate(Array(caller.utf8), key: saltKey))
    }
}

extension OffersFile {
    /// What the offers of one provider have in common with those of no other terms.
    fileprivate var terms: [UInt8] {
        models.flatMap { Array($0.offer.json.serialised().utf8) }
    }
}
