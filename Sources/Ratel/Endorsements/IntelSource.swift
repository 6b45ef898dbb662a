internal import Appraisal
internal import HTTP
internal import Keys
internal import RATS

/// Intel's Provisioning Certification Service, API version 4, or a PCCS that caches it.
struct IntelSource: CollateralSource {
    let client: CollateralClient
    /// Where the revocation list of Intel's root is when the service does not have it itself.
    let rootList: CollateralClient

    var name: String { "pcs \(client.base.host)" }

    func serves(_ need: CollateralNeed) -> Bool {
        if case .dcap = need { true } else { false }
    }

    func fetch(
        _ need: CollateralNeed, deadline: UInt64
    ) throws(CollateralFailure) -> RawCollateral {
        guard case .dcap(let tee, let fmspc, let ca) = need else {
            throw CollateralFailure("\(name) has Intel's collateral only")
        }
        let digits = Hex.encode(fmspc)
        let info = try client.get(
            "/\(tee)/certification/v4/tcb?fmspc=\(digits)", deadline: deadline)
        let identity = try client.get("/\(tee)/certification/v4/qe/identity", deadline: deadline)
        let pckList = try client.get(
            "/sgx/certification/v4/pckcrl?ca=\(ca)&encoding=der", deadline: deadline)
        let collateral = DCAPCollateral(
            tcbInfo: info.body, qeIdentity: identity.body,
            tcbSigningChain: try chain(
                info, ["tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"]),
            pckRevocations: IntelSource.binary(pckList.body),
            rootRevocations: try rootRevocations(deadline))
        return RawCollateral(
            endorsements: [collateral.endorsement],
            pckIssuers: try chain(pckList, ["sgx-pck-crl-issuer-chain"]))
    }

    // A PCCS has the root's list at a path of its own; Intel has it on another host.
    private func rootRevocations(_ deadline: UInt64) throws(CollateralFailure) -> [UInt8] {
        if client.base.host == rootList.base.host {
            return IntelSource.binary(
                try client.get("/sgx/certification/v4/rootcacrl", deadline: deadline).body)
        }
        return try rootList.get("/IntelSGXRootCA.der", deadline: deadline).body
    }

    private func chain(
        _ answer: Fetch.Answer, _ names: [String]
    ) throws(CollateralFailure) -> [UInt8] {
        for name in names {
            if let value = answer.fields.firstValue(named: name),
                let bytes = IntelSource.percentDecoded(value)
            {
                return bytes
            }
        }
        throw CollateralFailure("\(name): no \(names[0]) in the answer")
    }

    /// PCCS gives lists as hexadecimal text, Intel as DER.
    static func binary(_ body: [UInt8]) -> [UInt8] {
        if body.first == 0x30, body.count > 1, body[1] >= 0x80 { return body }
        let text = String(decoding: body, as: UTF8.self).filter { !$0.isWhitespace }
        return Hex.decode(text) ?? body
    }

    /// RFC 3986 section 2.1; nil for a `%` without two digits.
    static func percentDecoded(_ text: String) -> [UInt8]? {
        var output: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                output.append(byte)
                continue
            }
            guard rest.count >= 2,
                let decoded = Hex.decode(String(decoding: rest.prefix(2), as: UTF8.self))
            else { return nil }
            output += decoded
            rest = rest.dropFirst(2)
        }
        return output
    }
}
