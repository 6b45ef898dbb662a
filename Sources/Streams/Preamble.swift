public import TLS

/// What two peers say between the TLS handshake and the first application byte.
///
/// A link delivers nothing to its consumer until a preamble hands it a `Passage`.
public protocol Preamble: AnyObject {
    /// The TLS handshake is complete; send, open or close the link.
    func begin(_ link: Link, handshake: Handshake)
    /// Plaintext came from the peer.
    func receive(_ bytes: [UInt8], on link: Link)
    /// The link broke, or the peer ended it, before it was opened.
    func linkDidBreak(_ link: Link)
}
