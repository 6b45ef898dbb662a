internal import Appraisal
internal import Keys
internal import RATS

/// The sections `tdx` and `sgx` of a peer in a policy, and `tcb` inside them.
///
/// ```yaml
/// tdx:
///   mrtd: ["<96 hex>"]
///   rtmr: {0: ["…"], 1: ["…"], 2: ["…"], 3: any}
///   mrconfigid: any
///   mrowner: any
///   mrownerconfig: any
///   attributes: []                  # beside SEPT_VE_DISABLE: lass, migratable, pks, kl, perfmon
///   tcb:
///     accept: [UpToDate]
///     tolerate:
///       - {status: SWHardeningNeeded, advisories: [INTEL-SA-00615], until: 2027-03-01}
///     min_evaluation: 18
///   platforms: any                  # or PPIDs, 32 hex
///   # roots: [test-root.pem]        # in place of Intel's, which is then not trusted
/// sgx:
///   mrenclave: ["<64 hex>"]
///   mrsigner: ["<64 hex>"]
///   isvprodid: ["0001"]
///   min_isvsvn: 1
///   tcb: …
///   platforms: any
///   # roots: …
/// ```
struct DCAPSection {
    let node: PolicyNode

    func tdx(_ files: inout CertificateFiles) throws(Refusal) -> TDXPolicy {
        let names = [
            "mrtd", "rtmr", "mrconfigid", "mrowner", "mrownerconfig", "attributes", "tcb",
            "platforms",
        ]
        let fields = try node.fields(required: names, optional: ["roots"])
        let registers = try section(fields, "rtmr").fields(required: ["0", "1", "2", "3"])
        var rtmr: [ReferenceValue] = []
        for index in 0..<4 { rtmr.append(try reference(registers, "\(index)", 48)) }
        return TDXPolicy(
            mrTD: try reference(fields, "mrtd", 48), rtmr: rtmr,
            mrConfigID: try reference(fields, "mrconfigid", 48),
            mrOwner: try reference(fields, "mrowner", 48),
            mrOwnerConfig: try reference(fields, "mrownerconfig", 48),
            allowedAttributes: try attributes(try section(fields, "attributes")),
            tcb: try tcb(try section(fields, "tcb")),
            platforms: try reference(fields, "platforms", 16), roots: try roots(fields, &files))
    }

    func sgx(_ files: inout CertificateFiles) throws(Refusal) -> SGXPolicy {
        let names = ["mrenclave", "mrsigner", "isvprodid", "min_isvsvn", "tcb", "platforms"]
        let fields = try node.fields(required: names, optional: ["roots"])
        return SGXPolicy(
            mrEnclave: try reference(fields, "mrenclave", 32),
            mrSigner: try reference(fields, "mrsigner", 32),
            productID: try reference(fields, "isvprodid", 2),
            minimumSVN: UInt16(try section(fields, "min_isvsvn").integer(0...0xFFFF)),
            tcb: try tcb(try section(fields, "tcb")),
            platforms: try reference(fields, "platforms", 16), roots: try roots(fields, &files))
    }

    private func roots(
        _ fields: [String: PolicyNode], _ files: inout CertificateFiles
    ) throws(Refusal) -> [[UInt8]] {
        guard let node = fields["roots"] else { return DCAPRoots.intel }
        return try files.roots(node).map { Digest.sha256($0.spki) }
    }

    private func attributes(_ node: PolicyNode) throws(Refusal) -> UInt64 {
        var allowed: UInt64 = 0
        for item in try node.items() {
            let name = try item.text()
            guard let known = TDXPolicy.attributeNames.first(where: { $0.name == name }) else {
                let names = TDXPolicy.attributeNames.map(\.name).joined(separator: ", ")
                throw item.wrongType("one of \(names)")
            }
            allowed |= known.bit
        }
        return allowed
    }

    private func tcb(_ node: PolicyNode) throws(Refusal) -> TCBPolicy {
        let fields = try node.fields(
            required: ["accept", "min_evaluation"], optional: ["tolerate"])
        var accept: [TCBStatus] = []
        for item in try section(fields, "accept").items() {
            let status = try item.word(TCBStatus.self)
            guard status != .revoked else { throw item.wrongType("any status but Revoked") }
            accept.append(status)
        }
        var tolerate: [TCBPolicy.Tolerance] = []
        for item in try fields["tolerate"]?.items() ?? [] { tolerate.append(try tolerance(item)) }
        return TCBPolicy(
            accept: accept, tolerate: tolerate,
            // Intel counts the evaluations; 18 was current in 2025.
            minimumEvaluation: Int(try section(fields, "min_evaluation").integer(0...1_000)))
    }

    private func tolerance(_ node: PolicyNode) throws(Refusal) -> TCBPolicy.Tolerance {
        let fields = try node.fields(required: ["status", "advisories", "until"])
        let status = try section(fields, "status").word(TCBStatus.self)
        guard status != .revoked else { throw node.wrongType("any status but Revoked") }
        var advisories: [String] = []
        for item in try section(fields, "advisories").items() {
            advisories.append(try item.text())
        }
        let until = try section(fields, "until")
        guard let time = UTCTime.parse(try until.text() + "T00:00:00Z") else {
            throw until.wrongType("a date such as 2027-03-01")
        }
        return TCBPolicy.Tolerance(status: status, advisories: advisories, until: time)
    }

    private func section(
        _ fields: [String: PolicyNode], _ name: String
    ) throws(Refusal) -> PolicyNode {
        guard let field = fields[name] else { throw node.wrongType("the key `\(name)`") }
        return field
    }

    private func reference(
        _ fields: [String: PolicyNode], _ name: String, _ size: Int
    ) throws(Refusal) -> ReferenceValue {
        try section(fields, name).reference([size])
    }
}
