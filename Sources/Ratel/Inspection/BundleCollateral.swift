internal import Appraisal
internal import Keys
internal import Loop
internal import RATS

/// Collateral for Evidence in files that does not lie beside it: from a folder (`--collateral`),
/// the cache, and the vendors' services.
///
/// At another time than now (`--at`), neither the cache nor a service that nobody named is asked:
/// they have what is good today.
struct BundleCollateral {
    private let settings: CollateralSettings
    private let roots: CollateralRoots
    private let now: Int64?

    init(
        _ source: ConfigurationSource, _ request: VerifyRequest, policy: AppraisalPolicy?
    ) throws(UnusableInput) {
        var roots = CollateralRoots(policy: policy)
        roots.trust(try request.anchors())
        self.roots = roots
        now = request.time == nil ? nil : try request.now()
        do throws(ConfigurationError) {
            var settings = try CollateralSettings(source)
            if now != nil { settings.keepOnlyNamed(in: source) }
            self.settings = settings
        } catch {
            throw UnusableInput("\(error)")
        }
    }

    private func store(_ settings: CollateralSettings) throws(UnusableInput) -> EndorsementStore {
        do throws(ConfigurationError) {
            return try settings.make(
                roots: roots, now: now, LoggingSettings.quiet.logger("collateral"))
        } catch {
            throw UnusableInput("\(error)")
        }
    }

    /// What was found for a bundle.
    struct Completed {
        let bundle: EvidenceBundle
        /// What is still missing, and why, for a refusal to say.
        let stock: EndorsementStore.Stock
    }

    /// The bundle with what it lacks beside its files; what `--collateral` has replaces them.
    func complete(_ bundle: EvidenceBundle) throws(UnusableInput) -> Completed {
        let stapled = (try? EndorsementFolder.pack(bundle.files, of: "files")) ?? []
        let needs = bundle.needs
        // Most need nobody, and then the web's authorities are not read either.
        var stock = try store(settings.withoutServices).stock(needs, stapled: stapled)
        if !stock.missing.isEmpty, settings.hasServices {
            let store = try store(settings)
            for _ in 0..<Appraisals.waits where !stock.missing.isEmpty {
                let gate = Gate<Bool>()
                store.obtain(stock.missing) { gate.open(true) }
                _ = gate.wait()
                stock = store.stock(needs, stapled: stapled)
            }
        }
        var files = bundle.files
        for item in stock.items where !stapled.contains(item.endorsements) {
            for (name, bytes) in CollateralFiles.files(item) { files[name] = bytes }
        }
        return Completed(bundle: EvidenceBundle(files: files) ?? bundle, stock: stock)
    }
}

extension CollateralSettings {
    fileprivate var withoutServices: CollateralSettings {
        var copy = self
        (copy.pcs, copy.kds, copy.rim, copy.ocsp) = (nil, nil, nil, nil)
        return copy
    }

    /// Drops the cache, and services that are only there by default.
    fileprivate mutating func keepOnlyNamed(in source: ConfigurationSource) {
        cache = nil
        if source["pcs"] == nil { pcs = nil }
        if source["kds"] == nil { kds = nil }
        if source["rim"] == nil { rim = nil }
        if source["ocsp"] == nil { ocsp = nil }
    }
}

extension [Endorsement] {
    /// Whether all of `others` are among these.
    fileprivate func contains(_ others: [Endorsement]) -> Bool {
        others.allSatisfy { contains($0) }
    }
}
