import Attestation
import Keys
import RATS
import TLS
import Testing

@testable import Appraisal
@testable import RATLS

/// What an appraisal rests on is remembered for its time, and for nothing else.
struct CacheTests {
    private let base = [UInt8](repeating: 5, count: 64)
    private let now: Int64 = 1_800_000_000

    private func body(
        endorsements: [Endorsement] = [], signature other: [UInt8]? = nil
    ) throws -> EvidenceBody {
        let attestation = ExchangeSettings.Attestation(
            attester: try SimulatedAttester(), bindingKeys: Wire.anyBindingKeys)
        let made = try QuoteJob(attestation: attestation, work: .quote(base: base)).run().get()
        guard case .evidence(let quoted) = made.product else {
            preconditionFailure("no Evidence")
        }
        return EvidenceBody(
            nonce: [UInt8](repeating: 1, count: 32), evidence: quoted.evidence,
            bindingKey: quoted.bindingKey, path: quoted.path,
            configuration: Array(#"{"access_log":"off"}"#.utf8), endorsements: endorsements,
            signature: other ?? quoted.signature)
    }

    private func job(
        _ body: EvidenceBody, at time: Int64? = nil, policy: AppraisalPolicy = Sample.policy(),
        activations: [Activation] = []
    ) -> AppraisalJob {
        AppraisalJob(
            body: body, base: base, asks: .policy(policy), now: time ?? now,
            activations: activations)
    }

    private func isAdmitted(_ job: AppraisalJob, _ cache: AppraisalCache?) -> Bool {
        guard case .success(let outcome) = job.run(cache: cache),
            case .admitted = outcome.product
        else { return false }
        return true
    }

    @Test func aResultIsUsedWithinItsTime() throws {
        let body = try body()
        #expect(isAdmitted(job(body), nil))
        // The policy lets a result stand for 300 seconds.
        for (shift, hits): (Int64, Int) in [(0, 1), (299, 1), (300, 0), (-1, 0)] {
            let cache = AppraisalCache()
            #expect(isAdmitted(job(body), cache))
            #expect(isAdmitted(job(body, at: now + shift), cache))
            #expect(cache.use.hits == hits, "\(shift)")
        }
    }

    @Test func anythingElseIsAppraisedAnew() throws {
        let cache = AppraisalCache()
        let body = try body()
        #expect(isAdmitted(job(body), cache))
        let policy = AppraisalPolicy(
            mode: .enforce, peers: Sample.policy().peers, digest: [UInt8](repeating: 7, count: 48))
        #expect(isAdmitted(job(body, policy: policy), cache))
        var other = body
        other = EvidenceBody(
            nonce: body.nonce, evidence: body.evidence, bindingKey: body.bindingKey,
            path: body.path, configuration: body.configuration,
            endorsements: [Endorsement(mediaType: "a/b", bytes: [1])], signature: body.signature)
        #expect(isAdmitted(job(other), cache))
        #expect(cache.use.hits == 0)
        cache.removeAll()
        #expect(isAdmitted(job(body), cache))
        #expect(cache.use.hits == 0)
        // What a TPM proved on one connection is of that connection alone.
        let proof = Activation(endorsementKeyHash: [1], attestationKeyName: [2])
        #expect(isAdmitted(job(body, activations: [proof]), cache))
        #expect(cache.use.hits == 0)
        // A signature that does not hold is no matter of memory.
        let forged = try self.body(signature: [UInt8](repeating: 1, count: 64))
        #expect(!isAdmitted(job(forged), cache))
    }

    private func result(at time: Int64) throws -> AttestationResult {
        guard case .success(let outcome) = job(try body(), at: time).run(),
            case .admitted(let result, _) = outcome.product
        else { preconditionFailure("not admitted") }
        return result
    }

    @Test func theOneThatEndsFirstMakesRoom() throws {
        let cache = AppraisalCache()
        let early = try result(at: now - 10)
        let late = try result(at: now)
        func key(_ number: Int) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xFF)] }
        cache.keep(early, as: key(0))
        for number in 1..<1_024 { cache.keep(late, as: key(number)) }
        // One that is there already takes no room.
        cache.keep(late, as: key(5))
        #expect(cache.result(key(0), now: now) != nil)
        cache.keep(late, as: key(1_024))
        #expect(cache.result(key(0), now: now) == nil)
        for number in [1, 5, 1_023, 1_024] {
            #expect(cache.result(key(number), now: now) != nil)
        }
    }

    @Test func onlyWhatIsBoundHasNeeds() throws {
        let good = try body()
        let quote = Evidence(.snp, bytes: try SNPSample.evidence())
        func needs(_ signature: [UInt8]?, _ asks: ExchangeSettings.Asks) throws -> Int {
            let evidence = [quote]
            let text = Binding.evidenceToSign(
                base: base, manifest: Binding.manifest(of: evidence))
            let body = EvidenceBody(
                nonce: good.nonce, evidence: evidence, bindingKey: Wire.anyKey.spki,
                path: good.path, configuration: good.configuration, endorsements: [],
                signature: try signature ?? Wire.anyKey.signRaw(text))
            return AppraisalJob(
                body: body, base: base, asks: asks, now: now, activations: []
            ).needs(roots: CollateralRoots()).count
        }
        #expect(try needs(nil, .policy(Sample.policy())) == 2)
        #expect(try needs([UInt8](repeating: 1, count: 64), .policy(Sample.policy())) == 0)
        #expect(try needs(nil, .inspection) == 0)
    }

    @Test func anonymityIsThePolicys() throws {
        guard let peer = AdmittedPeer.anonymous(policy: Sample.anonymous, channelID: 7) else {
            Issue.record("the policy lets everybody in")
            return
        }
        let (mayPass, digest) = (peer.mayPass, peer.policyDigest)
        #expect(mayPass)
        #expect(digest == Sample.anonymous.digest)
        if case .some = AdmittedPeer.anonymous(policy: Sample.policy(), channelID: 7) {
            Issue.record("a policy that appraises let somebody in unappraised")
        }
    }

    @Test func aSimulatedResultSaysSo() throws {
        #expect(try result(at: now).isSimulated)
        #expect(Sample.policy().acceptsSimulated)
        #expect(!Sample.policy(simulated: false).acceptsSimulated)
        #expect(!Sample.anonymous.acceptsSimulated)
    }
}

/// A report of an AMD chip that asks for its certificates: version 3, Genoa, all else zero.
enum SNPSample {
    static func evidence() throws -> [UInt8] {
        var report = [UInt8](repeating: 0, count: 0x4A0)
        for (offset, value): (Int, UInt8) in [
            (0, 3), (0x0A, 2), (0x34, 1), (0x188, 0x19), (0x189, 0x11), (0x18A, 1),
        ] {
            report[offset] = value
        }
        return CBORValue.fields([(1, .bytes(report)), (2, .array([]))]).encoded()
    }
}
