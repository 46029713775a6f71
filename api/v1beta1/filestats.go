package v1beta1

// FileStats counts files of a backup.
type FileStats struct {
	// TotalFiles read.
	// +optional
	TotalFiles *int64 `json:"totalFiles,omitempty"`
	// NewFiles since the parent snapshot.
	// +optional
	NewFiles *int64 `json:"newFiles,omitempty"`
	// ModifiedFiles since the parent snapshot.
	// +optional
	ModifiedFiles *int64 `json:"modifiedFiles,omitempty"`
	// UnmodifiedFiles since the parent snapshot.
	// +optional
	UnmodifiedFiles *int64 `json:"unmodifiedFiles,omitempty"`
}
