internal import RATS

/// An Attester whose Evidence travels with the Endorsements of a folder.
///
/// The folder is read anew for each quote, so that whoever fetches collateral only has to replace
/// files; what cannot be read then is a quote that fails, and shows in readiness.
struct EndorsedAttester: Attester {
    let attester: any Attester
    /// The folder; `EndorsementFolder` says what it holds.
    let folder: String

    var name: String { attester.name }
    var kinds: [EvidenceKind] { attester.kinds }
    var isSimulated: Bool { attester.isSimulated }

    func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
        try attester.quote(challenge)
    }

    func endorsements() throws(Refusal) -> [Endorsement] {
        try attester.endorsements() + EndorsementFolder.read(folder)
    }

    func activate(_ credential: CredentialChallenge) throws(Refusal) -> [UInt8] {
        try attester.activate(credential)
    }
}
