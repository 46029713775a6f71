package task

import "regexp"

// maxImage is longer than what registries take, with a digest.
const maxImage = 512

// reference is what an image's name looks like: a registry with a port perhaps, folders, a tag, a
// digest.
var reference = regexp.MustCompile(
	`^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/)?` +
		`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*` +
		`(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$`)

// ImageFault says what is wrong with the name of an image, all variables of which are replaced; empty
// where nothing is.
func ImageFault(image string) string {
	const example = "; for example registry.example/dump:v1"
	switch {
	case image == "":
		return "the image is missing" + example
	case len(image) > maxImage || !reference.MatchString(image):
		return "it is not the name of an image: [registry[:port]/]name[:tag][@digest], without spaces and in small letters" + example
	}
	return ""
}
