internal import ArgumentParser

/// Options of a side that appraises hardware whose vendor has to be asked.
struct CollateralOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder of collateral that is preferred over everything else (`ratel collateral`).",
            valueName: "folder"))
    var collateral: String?

    @Option(
        name: .customLong("collateral-cache"),
        help: ArgumentHelp(
            "Where fetched collateral is kept, or off (default: ~/.cache/ratel/collateral).",
            valueName: "folder"))
    var cache: String?

    @Option(
        help: ArgumentHelp(
            "Intel's PCS or a PCCS, or off (default: https://api.trustedservices.intel.com).",
            valueName: "url"))
    var pcs: String?

    @Option(
        help: ArgumentHelp(
            "AMD's KDS, or off (default: https://kdsintf.amd.com).", valueName: "url"))
    var kds: String?

    @Option(
        help: ArgumentHelp(
            "NVIDIA's RIM service, or off (default: https://rim.attestation.nvidia.com).",
            valueName: "url"))
    var rim: String?

    @Option(
        help: ArgumentHelp(
            "NVIDIA's OCSP service, or off (default: https://ocsp.ndis.nvidia.com).",
            valueName: "url"))
    var ocsp: String?

    @Option(
        name: .customLong("collateral-ca"),
        help: ArgumentHelp(
            "PEM of the authorities of these services (default: the system's).",
            valueName: "file"))
    var authorities: String?

    /// The flags by the names that they also have in the environment and in files.
    var flags: [String: String?] {
        [
            "collateral": collateral, "collateral-cache": cache, "pcs": pcs, "kds": kds, "rim": rim,
            "ocsp": ocsp, "collateral-ca": authorities,
        ]
    }
}
