internal import Bytes
internal import Logging
internal import Loop

/// Where providers are now: those of the file, and those behind a name or a service of Kubernetes
/// that may have several addresses, each a provider of its own.
final class ProviderDirectory {
    private let loop: EventLoop
    private let logger: Logger
    private let slices: EndpointSlices?
    private let report: ([ProviderPlace]) -> Void
    private var timer: LoopTimer?
    private var entries: [RouterFile.Provider] = []
    /// What was found of each name, and kept while nobody can be asked.
    private var found: [String: Found] = [:]
    /// Those whose answers are awaited: one that is slow holds no other up.
    private var asking: Set<String> = []
    /// Why the last question of a name had no answer.
    private var troubles: [String: String] = [:]

    private struct Found: Equatable {
        let place: RouterFile.Place
        let addresses: [Address]
    }

    /// Milliseconds: the shortest time that records of a service usually live.
    private static let period: UInt64 = 5_000
    /// Addresses of one name that are used.
    private static let maxAddresses = 64

    init(
        on loop: EventLoop, kubernetes: KubernetesAPI?, logger: Logger,
        report: @escaping ([ProviderPlace]) -> Void
    ) {
        self.loop = loop
        self.logger = logger
        slices = kubernetes.map { EndpointSlices($0) }
        self.report = report
        let timer = LoopTimer(on: loop) { [unowned self] in self.look() }
        timer.start(after: ProviderDirectory.period, every: ProviderDirectory.period)
        timer.detach()
        self.timer = timer
    }

    func close() {
        timer?.close()
        timer = nil
    }

    /// Goes by these from now on.
    func take(_ entries: [RouterFile.Provider]) {
        self.entries = entries
        found = found.filter { name, found in
            entries.contains { $0.name == name && $0.place == found.place }
        }
        look()
        tell()
    }

    private func look() {
        for entry in entries where !asking.contains(entry.name) {
            switch entry.place {
            case .address: continue
            case .dns(let host, let port): resolve(entry, host, port)
            case .endpointSlices(let service): ask(entry, service)
            }
        }
    }

    private func resolve(_ entry: RouterFile.Provider, _ host: String, _ port: UInt16) {
        asking.insert(entry.name)
        Resolver.resolve(host: host, port: port, on: loop) { [weak self] outcome in
            self?.take(outcome.mapError { Trouble(why: "\(host): \($0)") }, for: entry)
        }
    }

    private func ask(_ entry: RouterFile.Provider, _ service: EndpointSlices.Service) {
        guard let slices else {
            return note("\(KubernetesAPI.missing)", for: entry)
        }
        let (bound, mailbox) = (LoopBound(self), loop.mailbox)
        let isTaken = slices.ask(for: service) { outcome in
            mailbox.post {
                bound.value.take(
                    outcome.mapError { Trouble(why: "\(service): \($0)") }, for: entry)
            }
        }
        if isTaken { asking.insert(entry.name) }
    }

    private struct Trouble: Error {
        let why: String
    }

    private func take(_ outcome: Result<[Address], Trouble>, for entry: RouterFile.Provider) {
        asking.remove(entry.name)
        // It may have gone from the file, or moved in it.
        guard timer != nil, entries.contains(entry) else { return }
        switch outcome {
        case .failure(let trouble): note(trouble.why, for: entry)
        case .success(let addresses):
            troubles[entry.name] = nil
            let sorted = addresses.sorted { "\($0)" < "\($1)" }
            let now = Found(
                place: entry.place,
                addresses: Array(sorted.prefix(ProviderDirectory.maxAddresses)))
            guard found[entry.name] != now else { return }
            found[entry.name] = now
            tell()
        }
    }

    /// Says once why nobody could be asked.
    private func note(_ why: String, for entry: RouterFile.Provider) {
        guard troubles[entry.name] != why else { return }
        troubles[entry.name] = why
        logger.warning(
            "where a provider is was not told; what was found before stays",
            metadata: ["provider": "\(entry.name)", "why": "\(why)"])
    }

    private func tell() {
        var places: [ProviderPlace] = []
        for entry in entries {
            if case .address(let address) = entry.place {
                places.append(
                    ProviderPlace(name: entry.name, address: address, policy: entry.policy))
                continue
            }
            for address in found[entry.name]?.addresses ?? [] {
                places.append(
                    ProviderPlace(
                        name: "\(entry.name)@\(address)", address: address, policy: entry.policy))
            }
        }
        report(places)
    }
}
