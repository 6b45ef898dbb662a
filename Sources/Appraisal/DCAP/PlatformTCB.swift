internal import Keys
public import RATS

/// Where an Intel platform stands, and what it lacks to be up to date.
public struct PlatformTCB: Sendable {
    /// One security version number below what the newest level asks.
    public struct Shortfall: Sendable, Equatable {
        /// The component, as Intel numbers and describes it.
        public let component: String
        /// What the platform has.
        public let got: Int
        /// What the level asks.
        public let needed: Int
        /// Who has to do what.
        public let remedy: String
    }

    /// The status of the whole.
    public let status: TCBStatus
    /// Intel's advisories behind it.
    public let advisories: [String]
    /// What the status was made of, under Intel's names.
    public let claims: Claims
    /// When the level that the platform reaches was superseded or is of, `tcbDate`.
    public let date: String?
    /// What is short for the newest level.
    public let shortfalls: [Shortfall]
    /// What Intel asks for where no number is short.
    public let advice: [String]

    /// Verifies a quote with its collateral at the Unix time `now` and compares it with the newest
    /// level of the TCB info.
    public init(
        quote bytes: [UInt8], endorsements: [Endorsement], roots: CollateralRoots, now: Int64
    ) throws(Refusal) {
        let collateral = try DCAPCollateral(in: endorsements)
        let verification = try DCAPVerification(
            bytes, collateral: collateral, now: now, roots: roots.intel)
        let info = try TCBInfo(try SignedDocument(collateral.tcbInfo, member: "tcbInfo"))
        let identity = try QEIdentity(
            try SignedDocument(collateral.qeIdentity, member: "enclaveIdentity"))
        status = verification.status
        advisories = verification.advisories
        claims = verification.claims
        date = info.levels[verification.parts.levelIndex].date
        shortfalls =
            PlatformTCB.platform(info, verification)
            + PlatformTCB.module(info, verification)
            + PlatformTCB.enclave(identity, verification.quote)
        advice = PlatformTCB.advice(verification.status)
    }

    private static func platform(_ info: TCBInfo, _ found: DCAPVerification) -> [Shortfall] {
        guard found.parts.levelIndex > 0, let newest = info.levels.first else { return [] }
        var short: [Shortfall] = []
        for (index, needed) in newest.sgx.enumerated() where found.pck.components[index] < needed {
            let name = newest.sgxNames[index]
            short.append(
                Shortfall(
                    component: "SGX component \(index + 1)" + (name.isEmpty ? "" : " (\(name))"),
                    got: found.pck.components[index], needed: needed, remedy: remedy(name)))
        }
        if found.pck.pceSVN < newest.pceSVN {
            short.append(
                Shortfall(
                    component: "PCESVN", got: found.pck.pceSVN, needed: newest.pceSVN,
                    remedy: "update the DCAP packages on the host, then register it again"))
        }
        guard case .tdx(let report) = found.quote.body, newest.tdx.count == 16 else { return short }
        let start = report.teeTCBSVN[1] > 0 ? 2 : 0
        for index in start..<16 where Int(report.teeTCBSVN[index]) < newest.tdx[index] {
            let name = newest.tdxNames[index]
            short.append(
                Shortfall(
                    component: "TDX component \(index + 1)" + (name.isEmpty ? "" : " (\(name))"),
                    got: Int(report.teeTCBSVN[index]), needed: newest.tdx[index],
                    remedy: remedy(name)))
        }
        return short
    }

    // Where a relaunch is advised, the module that runs now is current already.
    private static func module(_ info: TCBInfo, _ found: DCAPVerification) -> [Shortfall] {
        let isCurrent = [.tdRelaunchAdvised, .tdRelaunchAdvisedConfigurationNeeded]
            .contains(found.status)
        guard !isCurrent, case .tdx(let report) = found.quote.body, report.teeTCBSVN[1] > 0,
            let module = try? TCBEvaluation.module(info, report.teeTCBSVN),
            let newest = module.levels.first, Int(report.teeTCBSVN[0]) < newest.svn
        else { return [] }
        return [
            Shortfall(
                component: "TDX module \(module.identifier)", got: Int(report.teeTCBSVN[0]),
                needed: newest.svn,
                remedy: "load a newer TDX module on the host, then launch the TD again")
        ]
    }

    private static func enclave(_ identity: QEIdentity, _ quote: DCAPQuote) -> [Shortfall] {
        guard let newest = identity.levels.first, Int(quote.qeReport.svn) < newest.svn
        else { return [] }
        return [
            Shortfall(
                component: "quoting enclave", got: Int(quote.qeReport.svn), needed: newest.svn,
                remedy: "update the quoting enclave (DCAP packages) on the host")
        ]
    }

    // Intel's categories: PCS API version 4, TCB info, tcbcomponents.category.
    private static func remedy(_ name: String) -> String {
        if name.contains("BIOS") { return "update the machine's BIOS, which brings microcode" }
        if name.contains("OS/VMM") { return "update microcode and TDX module that the host loads" }
        return "update the machine's BIOS and the host's microcode"
    }

    private static func advice(_ status: TCBStatus) -> [String] {
        switch status {
        case .upToDate, .outOfDate, .revoked: []
        case .swHardeningNeeded:
            ["the code inside has to be hardened as the advisories say; no update mends this"]
        case .configurationNeeded, .outOfDateConfigurationNeeded:
            ["BIOS settings have to be changed as the advisories say (often Hyper-Threading)"]
        case .configurationAndSWHardeningNeeded:
            [
                "BIOS settings have to be changed as the advisories say",
                "the code inside has to be hardened as the advisories say",
            ]
        case .tdRelaunchAdvised:
            ["the module now running is current: launch the TD again"]
        case .tdRelaunchAdvisedConfigurationNeeded:
            [
                "the module now running is current: launch the TD again",
                "BIOS settings have to be changed as the advisories say",
            ]
        }
    }
}

extension EvidenceBundle {
    /// The quote in the bundle, and the collateral beside it, for `PlatformTCB`.
    public var quote: (bytes: [UInt8], endorsements: [Endorsement])? {
        guard let bytes = files["quote.bin"] else { return nil }
        return (bytes, collateral.map { [$0.endorsement] } ?? [])
    }
}

extension AuthenticEvidence {
    /// The quote, where this is one of Intel's.
    public var quote: [UInt8]? {
        if case .dcap(let dcap) = detail { dcap.bytes } else { nil }
    }
}
