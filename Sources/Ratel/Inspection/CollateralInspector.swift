internal import Appraisal
internal import Keys
internal import Loop
internal import RATS

/// `ratel collateral`: what vendors say about platforms, fetched, bundled and shown.
public enum CollateralInspector {
    /// What a person asks for.
    public struct Request: Sendable {
        /// Files or folders of Evidence, or HOST:PORT of machines that attest.
        public var subjects: [String]
        /// Where a bundle is written.
        public var out: String?
        /// The time to check at, as `--at` of `ratel verify`.
        public var time: String?
        /// PEM or DER of roots beside the vendors'.
        public var roots: [String]
        /// JSON in place of a table.
        public var json: Bool

        /// Collects what was asked.
        public init(
            subjects: [String], out: String? = nil, time: String? = nil, roots: [String] = [],
            json: Bool = false
        ) {
            self.subjects = subjects
            self.out = out
            self.time = time
            self.roots = roots
            self.json = json
        }
    }

    /// Asks the services for everything that the subjects need, whatever is there already.
    public static func fetch(
        _ source: ConfigurationSource, _ request: Request
    ) throws(ConfigurationError) -> Inspector.Finding {
        do throws(UnusableInput) {
            let desk = try Desk(source, request)
            let needs = try desk.needs(source)
            desk.obtain(needs)
            return desk.show(needs)
        } catch {
            return error.finding
        }
    }

    /// Writes what the subjects need into a folder for use without a network.
    public static func bundle(
        _ source: ConfigurationSource, _ request: Request
    ) throws(ConfigurationError) -> Inspector.Finding {
        guard let out = request.out else { throw ConfigurationError("--out FOLDER is needed") }
        do throws(UnusableInput) {
            let desk = try Desk(source, request)
            let needs = try desk.needs(source)
            desk.obtain(desk.store.stock(needs, stapled: []).missing)
            for entry in desk.store.listing where needs.contains(entry.item.need) {
                try CollateralFiles.write(entry.item, under: out)
            }
            return desk.show(needs)
        } catch {
            return error.finding
        }
    }

    /// Lists what the cache, or a folder, holds.
    public static func show(
        _ source: ConfigurationSource, _ request: Request
    ) throws(ConfigurationError) -> Inspector.Finding {
        do throws(UnusableInput) {
            let desk = try Desk(source, request)
            let needs =
                request.subjects.isEmpty ? desk.store.known : try desk.needs(source)
            _ = desk.store.stock(needs, stapled: [])
            return desk.show(needs)
        } catch {
            return error.finding
        }
    }
}

/// One run of such a command.
private struct Desk {
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

    private func ask(_ subject: String) throws(UnusableInput) -> [CollateralNeed] {
        do throws(ConfigurationError) {
            let server = try SettingValue.address(subject, setting: "server")
            let outcome = try PeerInspector.ask(server, policy: nil, attester: nil)
            switch outcome {
            case .inspected(let evidence, _): return evidence.flatMap(\.needs)
            case .refused(let refusal): throw ConfigurationError("\(subject): \(refusal)")
            case .unreachable(let why): throw ConfigurationError(why)
            case .admitted: return []
            }
        } catch {
            throw UnusableInput("\(subject): \(error)")
        }
    }

    /// Waits for every fetch.
    func obtain(_ needs: [CollateralNeed]) {
        let gate = Gate<Bool>()
        store.obtain(needs) { gate.open(true) }
        _ = gate.wait()
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
