import Attestation
import Keys
import RATS
import Testing

@testable import Appraisal
@testable import RATLS

/// Every order of frames up to eight steps, for both roles, with and without leases.
struct ExplorerTests {
    private static let depth = 8

    private func explorer(leased: Bool, isMutual: Bool) throws -> Explorer {
        var (client, server) = isMutual ? try Sample.mutual() : try Sample.oneWay()
        server.bindingKeys = Wire.freshBindingKeys()
        client.bindingKeys = Wire.freshBindingKeys()
        if leased {
            var first = Wire(client: client, server: server, secret: [7])
            first.run()
            client.leases = [try Wire.lease(&first.client)]
            if isMutual { server.leases = [try Wire.lease(&first.server)] }
        }
        // Another connection between the two: its challenges, and what answered them.
        var other = Wire(client: client, server: server, secret: [8])
        other.run()
        let foreign = other.frames.map(\.bytes)
        return Explorer(client: client, server: server, foreign: foreign)
    }

    @Test(arguments: [false, true], [false, true])
    func noOrderAdmitsWithoutAProof(leased: Bool, isMutual: Bool) throws {
        let report = try explorer(leased: leased, isMutual: isMutual)
            .explore(depth: ExplorerTests.depth)
        #expect(report.violations == [])
        #expect(report.admissions > 0)
        #expect(report.orders > 0)
    }

    /// The same on a connection that is open, where each side that asks does so again: it has no
    /// end of its own, so that there are more orders of fewer steps.
    @Test(arguments: [false, true], [false, true])
    func noOrderRenewsWithoutAProof(leased: Bool, isMutual: Bool) throws {
        var explorer = try explorer(leased: leased, isMutual: isMutual)
        explorer.renews = true
        let report = explorer.explore(depth: 5)
        #expect(report.violations == [])
        #expect(report.admissions > 0)
        #expect(report.orders > 0)
    }

    /// The same walk finds what is wrong where appraisal does not look at the binding.
    @Test func itFindsEvidenceThatIsNotBound() throws {
        var broken = try explorer(leased: false, isMutual: false)
        broken.appraise = { job in
            let binding = (try? job.run().get())
            if let binding { return .success(binding) }
            guard let key = try? PublicKey(spki: job.body.bindingKey),
                let result = ExplorerTests.anyResult
            else { return job.run() }
            return .success(AppraisalJob.Outcome(product: .admitted(result, bindingKey: key)))
        }
        let report = broken.explore(depth: ExplorerTests.depth)
        #expect(report.violations.contains { $0.contains("another connection") })
    }

    /// And where a side counts as admitted once the peer has admitted it.
    @Test func itFindsAnAdmissionWithoutAProof() throws {
        var broken = try explorer(leased: false, isMutual: true)
        broken.isSettled = { $0.outgoing == .settled && $0.failure == nil }
        let report = broken.explore(depth: ExplorerTests.depth)
        #expect(report.violations.contains { $0.contains("no result") })
    }

    /// A result as an appraisal that looks at nothing would give it.
    private static var anyResult: AttestationResult? {
        guard let (client, server) = try? Sample.oneWay() else { return nil }
        var wire = Wire(client: client, server: server)
        wire.run()
        return wire.client.appraisal
    }
}
