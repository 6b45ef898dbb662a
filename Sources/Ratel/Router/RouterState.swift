internal import Appraisal
internal import Bytes
internal import Keys
internal import Ledger
internal import Logging
internal import Loop
internal import RATS
internal import Receipts
internal import Streams

/// What all workers of a router share: the market, the papers, the providers of now.
final class RouterState: Sendable {
    let settings: RouterSettings
    let market: Market
    let book: RouterBook
    let log: ChannelLog
    /// What callers are attested with.
    let front: Channel
    let counts = RouterCounts()
    private let providerMaker: ProviderMaker
    private let state: Locked<State>
    private let lastFailure = LastFailure()

    private struct State {
        var file: RouterFile
        var providers: [Provider] = []
        /// Of each worker, to be told what changes.
        var sites: [(mailbox: Mailbox, site: LoopBound<RouterSite>)] = []
        /// Asks a provider again now; set by the main loop.
        var ask: (@Sendable (Provider) -> Void)?
        var fetch: (@Sendable (FactsQuestion) -> Void)?
        var status: RouterStatus?
    }

    init(
        _ settings: RouterSettings, _ file: RouterFile, book: RouterBook, front: Channel,
        maker: ProviderMaker, log: ChannelLog
    ) {
        self.settings = settings
        self.book = book
        self.front = front
        self.log = log
        providerMaker = maker
        market = Market(affinity: book.secret(for: "ratel/affinity/1"))
        state = Locked(State(file: file))
    }

    var logger: Logger { log.logger }
    var file: RouterFile { state.withLock { $0.file } }
    var providers: [Provider] { state.withLock { $0.providers } }

    /// SHA-256 over the policies that providers are admitted by: what a receipt says that its
    /// choice rested on.
    var policyHash: [UInt8] {
        let providers = providers.sorted { $0.name < $1.name }
        var text: [UInt8] = []
        for provider in providers {
            text += Array(provider.name.utf8) + [0] + provider.channel.policy.digest
        }
        return Digest.sha256(text)
    }

    /// Milliseconds between two times that a provider is asked for fresh Evidence: as set, and
    /// twice within what its policy takes for fresh.
    func challengePeriod(of provider: Provider) -> UInt64 {
        let age = provider.control.policy.shortestAge
        return max(1_000, min(settings.challenge, UInt64(age) * 500))
    }

    // MARK: Providers

    /// Puts these providers in place of those before; what is the same stays. One that cannot be
    /// used is left out and said, and costs the others nothing.
    func take(_ places: [ProviderPlace]) {
        let before = providers
        var kept: [Provider] = []
        for place in places {
            let known = before.first {
                $0.name == place.name && $0.address == place.address
                    && $0.policyPath == place.policy
            }
            if let known {
                kept.append(known)
            } else {
                do throws(ConfigurationError) {
                    kept.append(try providerMaker.make(place))
                } catch {
                    logger.error(
                        "a provider cannot be used",
                        metadata: ["provider": "\(place.name)", "why": "\(error)"])
                }
            }
        }
        let all = kept
        state.withLock { $0.providers = all }
        for provider in before where !kept.contains(where: { $0 === provider }) {
            market.remove(provider)
            tellSites { $0.drop(provider) }
            logger.notice("provider left", metadata: ["provider": "\(provider.name)"])
        }
    }

    /// Ends what was admitted of a provider: no request begins there.
    func expireAdmissions(of provider: Provider, cutting failure: Failure? = nil) {
        provider.channel.forget()
        tellSites { $0.expireAdmissions(of: provider, cutting: failure) }
    }

    func add(_ site: RouterSite, _ mailbox: Mailbox) {
        let bound = LoopBound(site)
        state.withLock { $0.sites.append((mailbox, bound)) }
    }

    private func tellSites(_ job: @escaping @Sendable (RouterSite) -> Void) {
        for (mailbox, site) in state.withLock({ $0.sites }) {
            mailbox.post { job(site.value) }
        }
    }

    // MARK: The file

    /// Reads the file again; answers whether it is another.
    func reload(isAsked: Bool) -> Bool {
        do throws(Refusal) {
            let read = try RouterFile.load(settings.file)
            lastFailure.clear()
            let isNew = state.withLock { state in
                defer { state.file = read }
                return state.file != read
            }
            if isNew {
                takeKeys()
                logger.notice("the router's file was put in force")
            } else if isAsked {
                logger.notice("the router's file is as it was")
            }
            return isNew
        } catch {
            if lastFailure.isToTell("\(error)", isAsked: isAsked) {
                logger.error(
                    "the router's file was not put in force; what was read before stays",
                    metadata: ["file": "\(settings.file)", "why": "\(error)"])
            }
            return false
        }
    }

    /// Has the callers' terms and credits written.
    func takeKeys() {
        book.take(file.keys) { [logger] error in
            if let error {
                logger.error("accounts were not written", metadata: ["why": "\(error)"])
            }
        }
    }

    /// Whether each provider was asked for its Evidence, whatever came of it.
    var areAllAsked: Bool { providers.allSatisfy { $0.now.lastAsked > 0 } }

    // MARK: The main loop

    func whenAsked(
        _ ask: @escaping @Sendable (Provider) -> Void,
        fetch: @escaping @Sendable (FactsQuestion) -> Void
    ) {
        state.withLock {
            $0.ask = ask
            $0.fetch = fetch
        }
    }

    /// What the admin listener and `/ready` show.
    var status: RouterStatus? {
        get { state.withLock { $0.status } }
        set { state.withLock { $0.status = newValue } }
    }

    /// Has a provider asked again soon.
    func refresh(_ provider: Provider) {
        state.withLock { $0.ask }?(provider)
    }

    /// Has a provider asked for the facts of a request.
    func fetch(_ question: FactsQuestion) {
        state.withLock { $0.fetch }?(question)
    }
}

/// Where one provider is.
struct ProviderPlace: Sendable, Equatable {
    let name: String
    let address: Address
    let policy: String
}

/// A request whose provider signed facts that did not come with its answer.
struct FactsQuestion: Sendable {
    let pending: Ledger.Pending
    let provider: Provider
    let offer: SignedStatement
    /// What is known of the answer; nil after a crash.
    let measured: MeasuredAnswer?
    /// Of an answer that is whole but for its facts; nil where that was settled.
    var ticket: Market.Ticket?
}
