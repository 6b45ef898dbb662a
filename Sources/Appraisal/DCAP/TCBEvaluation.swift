internal import Keys
internal import RATS

/// Where a platform stands in Intel's TCB info: SGX and TDX components, then the TDX module, the
/// relaunch check of TD 1.5, then the quoting enclave.
struct TCBEvaluation {
    /// What a status was made of.
    struct Parts: Sendable {
        /// Of the platform's components alone, and which level of the TCB info that is.
        let platform: TCBStatus
        let levelIndex: Int
        /// The TDX module, from its version 1 on.
        let module: (identifier: String, status: TCBStatus)?
        /// Of the quoting enclave.
        let qe: TCBStatus
    }

    let status: TCBStatus
    let advisories: [String]
    let parts: Parts

    init(
        info: TCBInfo, pck: PCKCertificate, quote: DCAPQuote, qe: SVNLevel
    ) throws(Refusal) {
        var status: TCBStatus
        var advisories: [String]
        let platform: (index: Int, level: TCBInfo.Level)
        var module: (identifier: String, status: TCBStatus)?
        if case .tdx(let report) = quote.body {
            try TCBEvaluation.checkModule(info, report)
            platform = try TCBEvaluation.level(info, pck, tdx: report.teeTCBSVN)
            let level = try TCBEvaluation.moduleLevel(info, report.teeTCBSVN)
            if let level {
                module = (TCBEvaluation.moduleName(report.teeTCBSVN), level.status)
            }
            (status, advisories) = TCBEvaluation.merge(platform.level, level, info, pck, report)
        } else {
            platform = try TCBEvaluation.level(info, pck, tdx: nil)
            (status, advisories) = (platform.level.status, platform.level.advisories)
        }
        if qe.status != .upToDate { advisories += qe.advisories }
        status = status.converged(with: qe.status)
        self.status = status
        var seen: Set<String> = []
        self.advisories = advisories.filter { seen.insert($0).inserted }
        parts = Parts(
            platform: platform.level.status, levelIndex: platform.index, module: module,
            qe: qe.status)
    }

    /// TDX: the level of the platform, the module's, and whether a relaunch would mend it.
    private static func merge(
        _ platform: TCBInfo.Level, _ module: SVNLevel?, _ info: TCBInfo, _ pck: PCKCertificate,
        _ report: TDReport
    ) -> (TCBStatus, [String]) {
        var advisories = platform.advisories
        guard let module else { return (platform.status, advisories) }
        if module.status != .upToDate { advisories += module.advisories }
        let merged = platform.status.converged(with: module.status)
        guard merged == .outOfDate || merged == .outOfDateConfigurationNeeded,
            let running = report.teeTCBSVN2,
            let renewed = try? level(info, pck, tdx: running).level,
            let renewedModule = try? moduleLevel(info, running),
            renewedModule.status == .upToDate
        else { return (merged, advisories) }
        // The module now running is current: the TD only has to be launched again.
        switch renewed.status {
        case .upToDate, .swHardeningNeeded: return (.tdRelaunchAdvised, advisories)
        case .configurationNeeded, .configurationAndSWHardeningNeeded:
            return (.tdRelaunchAdvisedConfigurationNeeded, advisories)
        default: return (merged, advisories)
        }
    }

    /// The first level all of whose components the platform reaches.
    private static func level(
        _ info: TCBInfo, _ pck: PCKCertificate, tdx: [UInt8]?
    ) throws(Refusal) -> (index: Int, level: TCBInfo.Level) {
        for (index, level) in info.levels.enumerated() {
            guard zip(level.sgx, pck.components).allSatisfy({ $0 <= $1 }),
                level.pceSVN <= pck.pceSVN
            else { continue }
            guard let tdx else { return (index, level) }
            guard level.tdx.count == 16 else { continue }
            // From module version 1 on, the first two components are the module's own matter.
            let start = tdx[1] > 0 ? 2 : 0
            if (start..<16).allSatisfy({ level.tdx[$0] <= Int(tdx[$0]) }) { return (index, level) }
        }
        throw DCAPRefusal.evidence(
            "tcb.unsupported", "TCB level", "a level of the TCB info", "none that matches",
            "update the platform's microcode and firmware")
    }

    private static func moduleLevel(
        _ info: TCBInfo, _ svn: [UInt8]
    ) throws(Refusal) -> SVNLevel? {
        guard svn[1] > 0 else { return nil }
        let module = try module(info, svn)
        guard let level = SVNLevel.match(module.levels, svn: Int(svn[0])) else {
            throw DCAPRefusal.evidence(
                "tcb.module_level", "TDX module SVN", "one that Intel lists", "\(svn[0])")
        }
        return level
    }

    private static func moduleName(_ svn: [UInt8]) -> String {
        "TDX_" + Hex.encode([svn[1]]).uppercased()
    }

    static func module(
        _ info: TCBInfo, _ svn: [UInt8]
    ) throws(Refusal) -> TCBInfo.Module {
        guard svn[1] > 0 else {
            guard let first = info.firstModule else {
                throw DCAPRefusal.collateral(
                    "tcb.module", "TDX module", "its identity in the TCB info", "none")
            }
            return first
        }
        let identifier = moduleName(svn)
        let wanted = info.modules.first { $0.identifier.uppercased() == identifier.uppercased() }
        guard let wanted else {
            throw DCAPRefusal.collateral(
                "tcb.module", "TDX module", identifier, "no such identity in the TCB info")
        }
        return wanted
    }

    /// Who signed the module, and with which attributes.
    private static func checkModule(_ info: TCBInfo, _ report: TDReport) throws(Refusal) {
        let module = try module(info, report.teeTCBSVN)
        guard report.mrSignerSEAM == module.mrSigner else {
            throw DCAPRefusal.evidence(
                "tdx.mrsignerseam", "MRSIGNERSEAM", Hex.encode(module.mrSigner),
                Hex.encode(report.mrSignerSEAM))
        }
        let masked = zip(report.seamAttributes, module.attributesMask).map { $0 & $1 }
        guard masked == module.attributes else {
            throw DCAPRefusal.evidence(
                "tdx.seamattributes", "SEAMATTRIBUTES", Hex.encode(module.attributes),
                Hex.encode(report.seamAttributes))
        }
    }
}
