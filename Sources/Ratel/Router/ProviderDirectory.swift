internal import Bytes
internal import Loop

/// Where providers are now: those of the file, and those behind a name that may have several
/// addresses, each a provider of its own.
final class ProviderDirectory {
    private let loop: EventLoop
    private let report: ([ProviderPlace]) -> Void
    private var timer: LoopTimer?
    private var entries: [RouterFile.Provider] = []
    /// What was found of each name, and kept while it cannot be resolved.
    private var found: [String: [Address]] = [:]
    private var asking = 0

    /// Milliseconds: the shortest time that records of a service usually live.
    private static let period: UInt64 = 5_000
    /// Addresses of one name that are used.
    private static let maxAddresses = 64

    init(on loop: EventLoop, report: @escaping ([ProviderPlace]) -> Void) {
        self.loop = loop
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
        look()
        tell()
    }

    private func look() {
        guard asking == 0 else { return }
        for entry in entries {
            guard case .dns(let host, let port) = entry.place else { continue }
            asking += 1
            Resolver.resolve(host: host, port: port, on: loop) { [weak self] outcome in
                guard let self, self.timer != nil else { return }
                self.asking -= 1
                guard case .success(let addresses) = outcome else { return }
                let kept = Array(
                    addresses.sorted { "\($0)" < "\($1)" }.prefix(ProviderDirectory.maxAddresses))
                guard self.found[entry.name] != kept else { return }
                self.found[entry.name] = kept
                self.tell()
            }
        }
    }

    private func tell() {
        var places: [ProviderPlace] = []
        for entry in entries {
            switch entry.place {
            case .address(let address):
                places.append(
                    ProviderPlace(name: entry.name, address: address, policy: entry.policy))
            case .dns:
                for address in found[entry.name] ?? [] {
                    places.append(
                        ProviderPlace(
                            name: "\(entry.name)@\(address)", address: address,
                            policy: entry.policy))
                }
            }
        }
        report(places)
    }
}
