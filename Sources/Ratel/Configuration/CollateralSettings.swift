internal import Appraisal
internal import Keys
internal import Logging
internal import Loop

/// Where collateral comes from, beside what peers staple.
public struct CollateralSettings: Sendable {
    /// A folder that is preferred over everything else.
    public var folder: String?
    /// Where what was fetched outlives a restart; nil for nowhere.
    public var cache: String?
    /// Intel's PCS or a PCCS; nil for none.
    var pcs: WebAddress?
    /// AMD's KDS; nil for none.
    var kds: WebAddress?
    /// NVIDIA's RIM service; nil for none.
    var rim: WebAddress?
    /// NVIDIA's OCSP service; nil for none.
    var ocsp: WebAddress?
    /// PEM of those who may vouch for the names of these services; nil for the system's.
    var authorities: String?

    /// Intel's service, and the host that has the revocation list of its root.
    static let intel = "https://api.trustedservices.intel.com"
    static let intelRoot = "https://certificates.trustedservices.intel.com"
    /// AMD's service.
    static let amd = "https://kdsintf.amd.com"
    /// NVIDIA's service of reference manifests.
    static let nvidia = "https://rim.attestation.nvidia.com"
    /// NVIDIA's service for the status of its certificates.
    static let nvidiaStatus = "https://ocsp.ndis.nvidia.com"
    /// Where Linux distributions keep the web's authorities.
    static let systemAuthorities = [
        "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
    ]

    init(_ source: ConfigurationSource) throws(ConfigurationError) {
        folder = source["collateral"]
        cache = source["collateral-cache"] ?? CollateralSettings.defaultCache
        if cache == "off" { cache = nil }
        pcs = try CollateralSettings.address(source["pcs"] ?? CollateralSettings.intel, "pcs")
        kds = try CollateralSettings.address(source["kds"] ?? CollateralSettings.amd, "kds")
        rim = try CollateralSettings.address(source["rim"] ?? CollateralSettings.nvidia, "rim")
        ocsp = try CollateralSettings.address(
            source["ocsp"] ?? CollateralSettings.nvidiaStatus, "ocsp")
        authorities = source["collateral-ca"]
    }

    /// Whether anybody may be asked over the network.
    var hasServices: Bool { pcs != nil || kds != nil || rim != nil || ocsp != nil }

    private static var defaultCache: String? {
        if let base = System.environment("XDG_CACHE_HOME"), base.hasPrefix("/") {
            return base + "/ratel/collateral"
        }
        return System.environment("HOME").map { $0 + "/.cache/ratel/collateral" }
    }

    private static func address(
        _ text: String, _ setting: String
    ) throws(ConfigurationError) -> WebAddress? {
        if text == "off" { return nil }
        guard let address = WebAddress(text),
            address.isSecure || address.address.isLoopback
        else {
            throw ConfigurationError(
                "--\(setting): expected https://HOST[:PORT][/PATH], http to this machine, or off; "
                    + "got \(text)")
        }
        return address
    }

    /// The store; `roots` are those that policies trust beside the vendors', `now` another time
    /// than the clock's.
    func make(
        roots: CollateralRoots, now: Int64? = nil, _ logger: Logger
    ) throws(ConfigurationError) -> EndorsementStore {
        let anchors = hasServices ? try readAuthorities(logger) : []
        var sources: [any CollateralSource] = []
        if let pcs {
            let isIntel = "https://" + pcs.host == CollateralSettings.intel
            let root = isIntel ? WebAddress(CollateralSettings.intelRoot) ?? pcs : pcs
            sources.append(
                IntelSource(
                    client: CollateralClient(base: pcs, anchors: anchors),
                    rootList: CollateralClient(base: root, anchors: anchors)))
        }
        if let kds {
            sources.append(AMDSource(client: CollateralClient(base: kds, anchors: anchors)))
        }
        if let rim {
            sources.append(NVIDIASource(client: CollateralClient(base: rim, anchors: anchors)))
        }
        if let ocsp {
            sources.append(OCSPSource(client: CollateralClient(base: ocsp, anchors: anchors)))
        }
        var settings = EndorsementStore.Settings(
            sources: sources, folder: folder.map { FolderSource(path: $0) },
            cache: try makeCache(logger), roots: roots)
        if let now { settings.now = { now } }
        return try EndorsementStore(settings, logger: logger)
    }

    // A read-only root has no place for it: said once, and kept in memory then.
    private func makeCache(_ logger: Logger) throws(ConfigurationError) -> CollateralCache? {
        guard let cache else { return nil }
        do throws(ConfigurationError) {
            return try CollateralCache(path: cache)
        } catch {
            logger.warning(
                """
                collateral is kept in memory alone: a restart fetches it again, and forgets the \
                highest evaluation numbers
                """,
                metadata: ["why": "\(error)"])
            return nil
        }
    }

    private func readAuthorities(_ logger: Logger) throws(ConfigurationError) -> [Certificate] {
        let paths = authorities.map { [$0] } ?? CollateralSettings.systemAuthorities
        for path in paths {
            // The web's authorities are some 150, 250 KiB.
            guard let bytes = System.readFile(path, limit: 4 << 20) else { continue }
            do throws(KeyError) {
                return try Certificate.read(
                    pem: String(decoding: bytes, as: UTF8.self), limit: 1_024)
            } catch {
                throw ConfigurationError("--collateral-ca \(path): \(error)")
            }
        }
        guard authorities == nil else {
            throw ConfigurationError("--collateral-ca \(paths[0]): cannot be read")
        }
        logger.debug("no authorities of the web on this machine: collateral services are refused")
        return []
    }
}
