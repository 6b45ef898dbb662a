internal import Appraisal
internal import Keys
internal import Loop
internal import RATS

/// One run of such a command.
struct CollateralDesk {
    let store: EndorsementStore
    let request: CollateralInspector.Request
    let now: Int64

    init(
        _ source: ConfigurationSource, _ request: CollateralInspector.Request
    ) throws(UnusableInput) {
        let common = VerifyRequest(
            subject: "", policy: nil, time: request.time, roots: request.roots)
        now = try common.now()
        var roots = CollateralRoots()
        roots.trust(try common.anchors())
        do throws(ConfigurationError) {
            let logger = LoggingSettings.quiet.logger("collateral")
            store = try CollateralSettings(source).make(
                roots: roots, now: request.time == nil ? nil : now, logger)
        } catch {
            throw UnusableInput("\(error)")
        }
        self.request = request
    }

    func needs(_ source: ConfigurationSource) throws(UnusableInput) -> [CollateralNeed] {
        guard !request.subjects.isEmpty else {
            throw UnusableInput("name a file or folder of Evidence, or HOST:PORT")
        }
        var needs: [CollateralNeed] = []
        for subject in request.subjects {
            let found = try self.needs(subject, source)
            guard !found.isEmpty else {
                throw UnusableInput("\(subject): its Evidence needs no collateral that is fetched")
            }
            needs += found.filter { !needs.contains($0) }
        }
        return needs
    }

    private func needs(
        _ subject: String, _ source: ConfigurationSource
    ) throws(UnusableInput) -> [CollateralNeed] {
        switch EvidenceFolder.read(subject) {
        case .unusable(let why): throw UnusableInput(why)
        case .folder(let files):
            guard let bundle = EvidenceBundle(files: files) else {
                throw UnusableInput("\(subject): no Evidence by any known file name")
            }
            return bundle.needs
        case .file(let bytes):
            if let bundle = EvidenceBundle(file: bytes) { return bundle.needs }
            guard let file = try? EvidenceFile(parsing: bytes) else {
                throw UnusableInput("\(subject): no Evidence of a known kind")
            }
            return CollateralNeed.of(file.evidence)
        case .absent: return try ask(subject)
        }
    }

    /// The quote of Intel's that a subject has, with the collateral beside it.
    func quote(
        _ subject: String
    ) throws(UnusableInput) -> (bytes: [UInt8], endorsements: [Endorsement]) {
        let none = UnusableInput("\(subject): no quote of TDX or SGX")
        switch EvidenceFolder.read(subject) {
        case .unusable(let why): throw UnusableInput(why)
        case .folder(let files):
            guard let quote = EvidenceBundle(files: files)?.quote else { throw none }
            return quote
        case .file(let bytes):
            guard let quote = EvidenceBundle(file: bytes)?.quote else { throw none }
            return quote
        case .absent:
            guard let quote = try inspect(subject).compactMap(\.quote).first else { throw none }
            return (quote, [])
        }
    }

    private func ask(_ subject: String) throws(UnusableInput) -> [CollateralNeed] {
        try inspect(subject).flatMap(\.needs)
    }

    private func inspect(_ subject: String) throws(UnusableInput) -> [AuthenticEvidence] {
        do throws(ConfigurationError) {
            let server = try SettingValue.address(subject, setting: "server")
            let outcome = try PeerInspector.ask(server, policy: nil, attester: nil)
            switch outcome {
            case .inspected(let evidence, _): return evidence
            case .refused(let refusal): throw ConfigurationError("\(subject): \(refusal)")
            case .unreachable(let why): throw ConfigurationError(why)
            case .admitted: return []
            }
        } catch {
            throw UnusableInput("\(subject): \(error)")
        }
    }

    /// Waits for every fetch of what is not here, or `again` of everything; gives what was asked
    /// for, with what that needed in turn.
    @discardableResult
    func obtain(_ needs: [CollateralNeed], again: Bool = false) -> [CollateralNeed] {
        var all: [CollateralNeed] = []
        var open = needs
        while !open.isEmpty {
            let gate = Gate<Bool>()
            store.obtain(again ? open : store.stock(open, stapled: []).missing) {
                gate.open(true)
            }
            _ = gate.wait()
            all += open
            open = store.listing.filter { open.contains($0.item.need) }.flatMap(\.item.further)
                .filter { !all.contains($0) }
        }
        return all
    }

    func show(_ needs: [CollateralNeed]) -> Inspector.Finding {
        let found = store.listing.filter { needs.contains($0.item.need) }
        var table = Table()
        var items: [JSONValue] = []
        for (item, source) in found {
            table.heading(item.need.description)
            table.row("source", source)
            table.row("good", "\(UTCTime.text(item.from)) to \(UTCTime.text(item.until))")
            table.row("refreshed at", UTCTime.text(item.refreshAt))
            for (name, number) in item.evaluations.sorted(by: { $0.key < $1.key }) {
                table.row("evaluation", "\(number) (\(name))")
            }
            items.append(
                .members([
                    ("item", .string(item.need.description)), ("source", .string(source)),
                    ("from", .string(UTCTime.text(item.from))),
                    ("until", .string(UTCTime.text(item.until))),
                    ("refresh_at", .string(UTCTime.text(item.refreshAt))),
                    (
                        "evaluations",
                        .members(
                            item.evaluations.sorted { $0.key < $1.key }
                                .map { ($0.key, .integer($0.value)) })
                    ),
                ]))
        }
        let missing = needs.filter { need in !found.contains { $0.item.need == need } }
        for need in missing {
            let why = store.trouble(need) ?? "no source has it"
            table.heading(need.description)
            table.row("MISSING", why)
            items.append(
                .members([("item", .string(need.description)), ("missing", .string(why))]))
        }
        if needs.isEmpty { table.heading("nothing is kept") }
        let document = JSONValue.array(items).serialised(pretty: true) + "\n"
        return Inspector.Finding(
            output: request.json ? document : table.text, status: missing.isEmpty ? 0 : 1)
    }
}
