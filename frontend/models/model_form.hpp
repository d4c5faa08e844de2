// What the objects of a model's JSON are: models, in one of Keras's two forms, operators, or layers of a
// class. Called by architecture.
#pragma once

#include <string>
#include <string_view>

#include "frontend/keras/value.hpp"

namespace convsmith::models {

// Of a string; empty for anything else.
std::string_view text_of(const Value* value);

enum class Form { kNone, kSequential, kFunctional };

// Subclasses of Sequential and Model keep the form of their config. A layer of somebody's own may have a list
// of layers, too, and do anything with it, but it says no shape of an input there.
Form form_of(const Value& object);

// The same for the whole of a file, which is no layer: a Sequential model within a subclass of Sequential may
// say the shape, as Keras 2 writes it.
Form form_of_file(const Value& object);

bool is_list_of_layers(const Value* value);

// Neither Sequential nor Functional.
bool is_own_class(std::string_view class_name);

// An object of a class of somebody's own, as Keras writes it: Keras 3 with the class's module (null in a
// script), Keras 2 with its own version.
bool is_saved_own_class(const Value& object);

// Files that name no modules (.h5) tell operators by their calls: x + y has two arguments where the layer
// Add has one list.
bool is_operator(const Value& object, std::string_view written);

// A class of somebody else's may have the name of one of Keras's, and so do operators.
std::string class_of(const Value& object, std::string_view written);

}  // namespace convsmith::models
