internal import Keys
internal import RATS

// Policies that accept any guest and any firmware, for looking at Evidence without a policy: the
// appraisals ask them only for roots, revocation and whose keys may sign.

extension SNPPolicy {
    static func authenticity(
        _ anchors: TrustAnchors, revocation: Hardening = .required
    ) -> SNPPolicy {
        let any = Features(
            smt: .any, cxl: .any, singleSocket: .any, aesXTS: .any, raplDisabled: .any,
            ciphertextHiding: .any, pageSwapDisabled: .any, aliasCheck: .any)
        let identity = Identity(
            measurement: .any, hostData: .any, idKeyDigest: .any, authorKeyDigest: .any,
            chipID: .any, guestSVN: .any, vmpl: [0, 1, 2, 3])
        var roots = SNPRoots.amd
        for product in SNPProduct.allCases { roots[product, default: []] += anchors.pins }
        return SNPPolicy(
            products: [:], identity: identity, features: any, abi: .any, loadedKey: .any,
            revocation: revocation, allowsProvisionalFirmware: true, roots: roots)
    }
}

extension NitroPolicy {
    static func authenticity(_ anchors: TrustAnchors) -> NitroPolicy {
        // The chain is good for three hours; without a policy the document's age is shown only.
        NitroPolicy(
            pcrs: [:], maxSkew: 0,
            roots: [NitroPolicy.awsRoot] + anchors.certificates.map { Digest.sha256($0.der) })
    }
}
