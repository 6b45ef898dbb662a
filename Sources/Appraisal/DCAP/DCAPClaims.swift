internal import Keys
internal import RATS

extension DCAPQuote {
    /// What it says, under Intel's names; that of the PCK certificate where it can be read.
    var claims: Claims {
        var claims = Claims()
        claims.set("quote_version", .number(UInt64(version)))
        claims.set("tee_type", .text(isTDX ? "0x81" : "0x0"))
        switch body {
        case .tdx(let report): DCAPQuote.set(&claims, report)
        case .sgx(let report): DCAPQuote.set(&claims, report)
        }
        claims.set("att_key_type", .number(2))
        claims.set("cert_data_type", .number(5))
        claims.set("declared_length", .number(UInt64(declaredLength)))
        DCAPQuote.set(&claims, qe: qeReport)
        if let pem = try? DCAPChain.certificates(certificates),
            let leaf = pem.first(where: { $0.extension(PCKCertificate.identifier) != nil }),
            let pck = try? PCKCertificate(leaf)
        {
            DCAPQuote.set(&claims, pck: pck, leaf)
        }
        return claims
    }

    private static func set(_ claims: inout Claims, _ report: TDReport) {
        claims.set("body", .text(report.teeTCBSVN2 == nil ? "td10" : "td15"))
        claims.set("tee_tcb_svn", .bytes(report.teeTCBSVN))
        claims.set("mrseam", .bytes(report.mrSEAM))
        claims.set("mrsignerseam", .bytes(report.mrSignerSEAM))
        claims.set("seam_attributes", .bytes(report.seamAttributes))
        claims.set("td_attributes", .bytes(report.attributes))
        claims.set("quote_debug", .flag(report.isDebug))
        claims.set("xfam", .bytes(report.xfam))
        claims.set("mrtd", .bytes(report.mrTD))
        claims.set("mrconfigid", .bytes(report.mrConfigID))
        claims.set("mrowner", .bytes(report.mrOwner))
        claims.set("mrownerconfig", .bytes(report.mrOwnerConfig))
        for (index, value) in report.rtmr.enumerated() {
            claims.set("rtmr\(index)", .bytes(value))
        }
        claims.set("report_data", .bytes(report.reportData))
        if let svn = report.teeTCBSVN2 { claims.set("tee_tcb_svn2", .bytes(svn)) }
        if let service = report.mrServiceTD { claims.set("mrservicetd", .bytes(service)) }
    }

    private static func set(_ claims: inout Claims, _ report: SGXReport) {
        claims.set("body", .text("sgx"))
        claims.set("cpusvn", .bytes(report.cpuSVN))
        claims.set("miscselect", .bytes(report.miscSelect))
        claims.set("attributes", .bytes(report.attributes))
        claims.set("quote_debug", .flag(report.isDebug))
        claims.set("mrenclave", .bytes(report.mrEnclave))
        claims.set("mrsigner", .bytes(report.mrSigner))
        claims.set("isvprodid", .number(UInt64(report.productID)))
        claims.set("isvsvn", .number(UInt64(report.svn)))
        claims.set("configid", .bytes(report.configID))
        claims.set("configsvn", .number(UInt64(report.configSVN)))
        claims.set("report_data", .bytes(report.reportData))
    }

    private static func set(_ claims: inout Claims, qe report: SGXReport) {
        claims.set("qe.mrsigner", .bytes(report.mrSigner))
        claims.set("qe.mrenclave", .bytes(report.mrEnclave))
        claims.set("qe.isvprodid", .number(UInt64(report.productID)))
        claims.set("qe.isvsvn", .number(UInt64(report.svn)))
        claims.set("qe.attributes", .bytes(report.attributes))
        claims.set("qe.miscselect", .bytes(report.miscSelect))
        claims.set("qe.cpusvn", .bytes(report.cpuSVN))
    }

    private static func set(
        _ claims: inout Claims, pck: PCKCertificate, _ leaf: Certificate
    ) {
        claims.set("pck.fmspc", .bytes(pck.fmspc))
        claims.set("pck.pceid", .bytes(pck.pceID))
        claims.set("pck.pcesvn", .number(UInt64(pck.pceSVN)))
        claims.set("pck.cpusvn", .bytes(pck.cpuSVN))
        claims.set(
            "pck.sgx_tcb_comp_svn", .list(pck.components.map { .number(UInt64($0)) }))
        claims.set("pck.ppid", .bytes(pck.ppid))
        // An integer (RFC 5280 section 4.1.2.2): no leading zero.
        claims.set("pck.serial", .text(String(Hex.encode(leaf.serial).drop { $0 == "0" })))
        claims.set("pck.issuer", .text(leaf.issuerCommonName ?? leaf.issuer))
        claims.set("pck.not_before", .text(UTCTime.text(leaf.notBefore)))
        claims.set("pck.not_after", .text(UTCTime.text(leaf.notAfter)))
    }
}

extension DCAPVerification {
    /// Where the platform stands, under the names of Intel's TCB info.
    var claims: Claims {
        var claims = Claims()
        claims.set("status", .text(status.rawValue))
        claims.set("advisory_ids", .list(advisories.map { .text($0) }))
        claims.set("platform_status", .text(parts.platform.rawValue))
        claims.set("platform_level_index", .number(UInt64(parts.levelIndex)))
        if let module = parts.module {
            claims.set("tdx_module.id", .text(module.identifier))
            claims.set("tdx_module.status", .text(module.status.rawValue))
        }
        claims.set("qe_status", .text(parts.qe.rawValue))
        claims.set("tcb_evaluation_data_number", .number(UInt64(tcbInfoEvaluation)))
        claims.set("qe_evaluation_data_number", .number(UInt64(qeEvaluation)))
        return claims
    }
}
