internal import Keys
internal import RATS

/// What the platform token says: the machine and its firmware.
struct CCAPlatform: Sendable {
    /// One piece of firmware.
    struct Component: Sendable, Equatable {
        let type: String?
        let measurement: [UInt8]
        let version: String?
        let signer: [UInt8]
        let digest: String?
    }

    private static let profiles = [
        "http://arm.com/CCA-SSD/1.0.0", "tag:arm.com,2023:cca_platform#1.0.0",
    ]
    /// SHA-256, SHA-384 or SHA-512.
    static let hashSizes = [32, 48, 64]
    /// Boot stages, monitor, manager and their configurations are ten; several times that.
    private static let maxComponents = 64

    let profile: String
    /// The hash of the realm's key, which ties the two tokens together.
    let challenge: [UInt8]
    let implementationID: [UInt8]
    /// UEID: 0x01 and 32 bytes.
    let instanceID: [UInt8]
    let config: [UInt8]
    let lifecycle: UInt64
    let digest: Digest
    let service: String?
    let components: [Component]

    init(_ payload: [UInt8]) throws(Refusal) {
        let claims = try CCAClaims(
            payload, "platform", known: [10, 256, 265, 2395, 2396, 2399, 2400, 2401, 2402])
        profile = try claims.text(265, "profile")
        guard CCAPlatform.profiles.contains(profile) else {
            throw claims.refusal(
                "profile", CCAPlatform.profiles.joined(separator: " or "), profile)
        }
        challenge = try claims.bytes(10, "challenge", CCAPlatform.hashSizes)
        implementationID = try claims.bytes(2396, "implementation id", [32])
        instanceID = try claims.bytes(256, "instance id", [33])
        guard instanceID[0] == 1 else { throw claims.refusal("instance id", "type 1") }
        config = try claims.bytes(2401, "config")
        lifecycle = try claims.number(2395, "security lifecycle")
        digest = try claims.digest(2402, "hash algorithm")
        service = try claims.optionalText(2400, "verification service")
        var components: [Component] = []
        let items = try claims.items(2399, "software components", 1...CCAPlatform.maxComponents)
        for item in items { components.append(try CCAPlatform.component(item)) }
        self.components = components
    }

    private static func component(_ value: CBORValue) throws(Refusal) -> Component {
        do throws(CBORError) {
            let fields = try CBORFields(value, allowed: [1, 2, 4, 5, 6])
            let (measurement, signer) = (try fields.bytes(2), try fields.bytes(5))
            guard hashSizes.contains(measurement.count), hashSizes.contains(signer.count) else {
                throw CBORError(.wrongType, offset: 2)
            }
            var texts: [UInt64: String] = [:]
            for key: UInt64 in [1, 4, 6] where fields.optional(key) != nil {
                texts[key] = try fields.text(key)
            }
            return Component(
                type: texts[1], measurement: measurement, version: texts[4], signer: signer,
                digest: texts[6])
        } catch {
            throw CCAEvidence.malformed(
                "software component", "measurement and signer id", error.description)
        }
    }

    /// The claims, under the names of draft-ffm-rats-cca-token.
    func addClaims(to claims: inout Claims) {
        claims.set("platform.profile", .text(profile))
        claims.set("platform.challenge", .bytes(challenge))
        claims.set("platform.implementation_id", .bytes(implementationID))
        claims.set("platform.instance_id", .bytes(instanceID))
        claims.set("platform.config", .bytes(config))
        claims.set("platform.security_lifecycle", .number(lifecycle))
        claims.set("platform.hash_algo", .text(digest.tokenName))
        if let service { claims.set("platform.verification_service", .text(service)) }
        let groups = components.map { component in
            var group = Claims()
            if let type = component.type { group.set("type", .text(type)) }
            group.set("measurement", .bytes(component.measurement))
            if let version = component.version { group.set("version", .text(version)) }
            group.set("signer_id", .bytes(component.signer))
            if let digest = component.digest { group.set("hash_algo", .text(digest)) }
            return Claims.Value.group(group)
        }
        claims.set("platform.sw_components", .list(groups))
    }
}
