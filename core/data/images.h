// data.kind = "images": JPEG and PNG files in a folder per class; samples of shape [height, width, 3], normalised with
// the means and deviations that are common for ImageNet. core/data/picture_file.h says what is decoded and refused.
//
// - data.path/train/CLASS/FILE trains and data.path/val/CLASS/FILE is held out, where there are both of these folders;
//   otherwise data.path/CLASS/FILE: of all N pictures, by class and name, those are held out where ⌊i · eval_fraction +
//   ½⌋ grows from picture i to i + 1, that is, evenly over the classes; at least one is.
// - Classes are numbered in the byte order of their names, from the training part. Pictures are the files whose names
//   end in .jpg, .jpeg or .png, in any case, in the byte order of their names; others and hidden ones are left out.
// - data.image_size = S: pictures become S × S (core/data/augment.h says how). 0: they stay as they are, and all must
//   have one size.
//
// Opening lists the files. It looks into them, for being pictures and of one size, where there are up to 4,096; beyond
// that it would take long, and what is wrong is said when it is read.
#pragma once

#include <memory>

#include "core/data/dataset.h"

namespace convoy {

// Throws Error(kUsage) that names the file and what was expected.
std::unique_ptr<Dataset> open_images(const DataRecipe& recipe, std::uint64_t seed);

}  // namespace convoy
