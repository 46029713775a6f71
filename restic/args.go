package restic

// appendFlag appends --name=value, in one word so that the value cannot be taken for an option;
// nothing if it is empty.
func appendFlag(args []string, name string, values ...string) []string {
	for _, value := range values {
		if value != "" {
			args = append(args, name+"="+value)
		}
	}
	return args
}
