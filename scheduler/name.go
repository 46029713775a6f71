package scheduler

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

const (
	// maxName keeps a session's name usable as the value of a label.
	maxName  = 63
	hashSize = 10
)

// SessionName returns the name of the BackupSession of a configuration's slot: the configuration's
// name and the slot in Unix seconds. It depends on nothing else, so that two leaders create the
// same object. It is at most 63 characters long; a longer configuration name is cut and gets a hash
// of the whole, so that names that share a beginning stay apart.
func SessionName(configName string, slot time.Time) string {
	suffix := "-" + strconv.FormatInt(slot.Unix(), 10)
	if len(configName)+len(suffix) <= maxName {
		return configName + suffix
	}
	sum := sha256.Sum256([]byte(configName))
	suffix = "-" + hex.EncodeToString(sum[:])[:hashSize] + suffix
	return strings.TrimRight(configName[:maxName-len(suffix)], "-.") + suffix
}
