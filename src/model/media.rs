//! Media in words: kinds, codecs, sources, qualities, layers.

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// The codecs that Konsil forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Opus, RFC 7587; RED (RFC 2198) around it counts as Opus.
    Opus,
    /// VP8, RFC 7741.
    Vp8,
    /// VP9, RFC 9628.
    Vp9,
    /// H.264, RFC 6184.
    H264,
    /// AV1, AOM's RTP format.
    Av1,
}

impl Codec {
    /// The MIME type as LiveKit writes it.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Opus => "audio/opus",
            Self::Vp8 => "video/VP8",
            Self::Vp9 => "video/VP9",
            Self::H264 => "video/H264",
            Self::Av1 => "video/AV1",
        }
    }

    /// Reads a MIME type or a bare codec name, in any case; RED counts as Opus.
    #[must_use]
    pub fn from_mime(text: &str) -> Option<Self> {
        let name = text.rsplit('/').next()?;
        [("opus", Self::Opus), ("red", Self::Opus), ("vp8", Self::Vp8), ("vp9", Self::Vp9), ("h264", Self::H264), ("av1", Self::Av1)]
            .into_iter()
            .find_map(|(known, codec)| known.eq_ignore_ascii_case(name).then_some(codec))
    }
}

/// What a track shows; grants may restrict it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrackSource {
    /// Not said.
    Unknown,
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen.
    ScreenShare,
    /// The sound of a shared screen.
    ScreenShareAudio,
}

/// Frame encryption that the publisher declares for a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Frames are readable by the server.
    None,
    /// LiveKit's AES-GCM frame format.
    Gcm,
    /// Another format, agreed between the clients.
    Custom,
}

/// Simulcast quality, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// A quarter of the size, rid `q`.
    Low,
    /// Half of the size, rid `h`.
    Medium,
    /// Full size, rid `f`, or the only layer.
    High,
}

impl Quality {
    /// All qualities, worst first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// 0 for low to 2 for high.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// One spatial layer that a publisher announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoLayer {
    /// Which layer.
    pub quality: Quality,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bit rate in bit/s, 0 if not said.
    pub bitrate: u32,
}

/// How much of a track a subscriber has use for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackSettings {
    /// Not shown at the moment: send nothing.
    pub disabled: bool,
    /// The quality asked for, if by quality.
    pub quality: Option<Quality>,
    /// Width in pixels of where it is shown, 0 if not said.
    pub width: u32,
    /// Height in pixels of where it is shown, 0 if not said.
    pub height: u32,
    /// Frames per second that are enough, 0 if not said.
    pub fps: u32,
    /// The client's order of its tracks where not all fit: 1 comes first, 0 is not said.
    pub priority: u32,
}
