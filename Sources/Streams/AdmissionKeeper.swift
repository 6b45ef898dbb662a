/// What renews the peer's admission while a link of HTTP/2 is open.
public protocol AdmissionKeeper: AnyObject {
    /// Whether it asks the peer again in time, so that the link need not end with its admission.
    var renews: Bool { get }
    /// Bytes of the peer's side of the exchange came.
    func receive(_ bytes: [UInt8], on link: Link)
    /// The link is gone.
    func linkDidClose(_ link: Link)
}
