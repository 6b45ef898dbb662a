public import RATS

/// What the firmware of an NVIDIA device has to show, be it a GPU or an NVSwitch. Nothing has a
/// default but the roots.
public struct NVIDIADevicePolicy: Sendable {
    /// Whether something has to be there; what is there has to hold either way.
    public enum Requirement: String, Sendable, CaseIterable {
        case required
        case any
    }

    /// The versions of VBIOS or BIOS that are accepted.
    public let vbios: NVIDIAVersion
    /// Whether the reference manifest of that version has to be there.
    public let vbiosManifest: Requirement
    /// Whether each certificate needs a current OCSP answer; a bad answer refuses either way.
    public let ocsp: Requirement
    /// The serial numbers of the devices' own certificates that are accepted: `device_serial`.
    public let devices: ReferenceValue
    /// The roots to anchor in.
    public internal(set) var roots: NVIDIARoots

    /// Puts together what the firmware of a device has to show.
    public init(
        vbios: NVIDIAVersion,
        vbiosManifest: Requirement,
        ocsp: Requirement,
        devices: ReferenceValue,
        roots: NVIDIARoots = .nvidia
    ) {
        self.vbios = vbios
        self.vbiosManifest = vbiosManifest
        self.ocsp = ocsp
        self.devices = devices
        self.roots = roots
    }
}

/// What a GPU has to show. Nothing has a default but the roots.
public struct NVIDIAGPUPolicy: Sendable {
    /// A generation of GPUs that can attest.
    public enum Architecture: String, Sendable, CaseIterable {
        case hopper
        case blackwell

        /// What the names of its chips begin with.
        var prefix: String { self == .hopper ? "GH" : "GB" }
    }

    /// How GPUs share a machine, as their feature flag says.
    public enum Mode: String, Sendable, CaseIterable {
        /// Single-GPU passthrough.
        case single = "spt"
        /// Multi-GPU passthrough with encrypted NVLink.
        case multiple = "mpt"
        /// Protected PCIe, with NVSwitches that attest too.
        case protectedPCIe = "ppcie"
    }

    /// Which modes are accepted.
    public enum Modes: Sendable, Equatable {
        /// Any, and devices that do not say.
        case any
        /// One of these.
        case oneOf([Mode])
    }

    /// What its firmware has to show.
    public internal(set) var device: NVIDIADevicePolicy
    /// The generations that are accepted.
    public let architectures: [Architecture]
    /// The modes that are accepted.
    public let modes: Modes
    /// The versions of the driver that are accepted.
    public let driver: NVIDIAVersion
    /// Whether the reference manifest of that version has to be there.
    public let driverManifest: NVIDIADevicePolicy.Requirement
    /// Whether the report has to name its firmware; drivers before 550 do not.
    public let firmwareID: NVIDIADevicePolicy.Requirement

    /// Puts together what a GPU has to show.
    public init(
        device: NVIDIADevicePolicy,
        architectures: [Architecture],
        modes: Modes,
        driver: NVIDIAVersion,
        driverManifest: NVIDIADevicePolicy.Requirement,
        firmwareID: NVIDIADevicePolicy.Requirement
    ) {
        self.device = device
        self.architectures = architectures
        self.modes = modes
        self.driver = driver
        self.driverManifest = driverManifest
        self.firmwareID = firmwareID
    }
}
