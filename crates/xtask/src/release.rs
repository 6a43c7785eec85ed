//! What a release carries beside its programs: notes, the manifest for krew, the bill of materials.
//!
//! Not the release itself: `.github/workflows/release.yaml` builds, signs and publishes.

pub mod krew;
pub mod notes;
pub mod sbom;
